# What every script needs: where we are, how we speak, how we install. Sourced, never run.
# shellcheck shell=bash

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
SELF=$(basename -- "$0")

# Progress goes to stderr: the stdout of `services start` is for `eval`.
say() { printf '%s: %s\n' "$SELF" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Milliseconds, for saying how long something took.
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# "3.2 s" since the given now_ms.
since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# Runs a command as root: plainly when we are, else with sudo.
as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installs Debian packages. Their servers are neither started nor left to start with the machine: ours are
# private, and a port of the machine's own PostgreSQL or RabbitMQ is not ours to take.
apt_install() {
    command -v apt-get >/dev/null ||
        die "missing: $*. There is no apt-get here: install them, or set DATABASE_URL and AMQP_URL"
    local how='with apt-get' started log
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "missing: $*. As root: apt-get install $*"
        how='with sudo apt-get'
    fi
    mkdir -p "$ROOT/.services"
    log=$ROOT/.services/apt.log
    started=$(now_ms)
    say "installing $* ($how; its output is in .services/apt.log)"
    if ! apt_install_quietly "$@" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "could not install $*"
    fi
    say "installed $* in $(since "$started")"
}

# A subshell, so that the trap takes the two guards away again however it ends.
apt_install_quietly() (
    guards=()
    trap '((${#guards[@]} == 0)) || as_root rm -f "${guards[@]}"' EXIT
    # invoke-rc.d and deb-systemd-invoke ask this file, and start nothing when it exits with 101.
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        guards+=(/usr/sbin/policy-rc.d)
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    # Without this, installing a server package makes a cluster `main`, which starts with the machine.
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        guards+=(/etc/postgresql-common/createcluster.d/code-imports.conf)
        as_root mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' | as_root tee "${guards[-1]}"
    fi
    # A fresh image has no lists; a machine without network may still have good ones, so go on.
    as_root apt-get -q update || true
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" || exit
    if [[ " $* " == *' rabbitmq-server '* ]] && command -v systemctl >/dev/null; then
        as_root systemctl disable rabbitmq-server || true
    fi
)

# Runs a command when the script ends, however it ends; the latest first.
CLEANUPS=()
at_exit() {
    CLEANUPS=("$1" "${CLEANUPS[@]}")
    trap clean_up EXIT
}
clean_up() {
    local command
    for command in "${CLEANUPS[@]}"; do "$command" || true; done
}

# Sets DATABASE_URL, AMQP_URL and AMQP_CONSOLE_URL, and starts the servers where needed. Those that ran before
# go on running; those that this started end with the script.
use_services() {
    local exports
    if ! "$ROOT/scripts/services" status >/dev/null 2>&1; then at_exit stop_services; fi
    exports=$("$ROOT/scripts/services" start) || die "there are no servers to work with"
    eval "$exports"
}
stop_services() { "$ROOT/scripts/services" stop; }
