# What both servers share: ports, pids, waiting. Sourced by scripts/services.
# shellcheck shell=bash

SERVICES=${SERVICES_DIR:-$ROOT/.services}

# Where SERVICES_TREE names the root of another Debian, servers and their tools are those that are in there.
TREE=${SERVICES_TREE:-}
IN_TREE=()
if [[ -n $TREE ]]; then IN_TREE=("$ROOT/scripts/lib/in-tree" "$TREE"); fi

# Where SERVICES_CLUSTER names a folder, our RabbitMQ is one of three nodes: see scripts/cluster.
CLUSTER=${SERVICES_CLUSTER:-}

# Tells this checkout from others: in the node's name and in paths outside of it.
CHECKOUT=$(cksum <<<"${SERVICES_DIR:-$ROOT}")
CHECKOUT=$(printf '%08x' "${CHECKOUT%% *}")

# Until a server answers, and until it has left, on a slow machine with a busy disk.
START_SECONDS=60
STOP_SECONDS=30

# Whether the servers are to speak TLS, with the certificates of that folder.
has_tls() { [[ -n ${SERVICES_TLS:-} ]]; }

# One `start` or `stop` at a time in a checkout. Servers must not inherit the descriptor: see `launch`.
lock() {
    mkdir -p "$SERVICES"
    [[ -w $SERVICES ]] || die "$SERVICES belongs to $(stat -c %U "$SERVICES"): stop and remove it as that user"
    exec 9>"$SERVICES/lock"
    flock -w $((START_SECONDS + STOP_SECONDS)) 9 || die "another start or stop does not end"
}

# Whether somebody listens there. In a subshell, which closes the connection.
port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

ports_load() {
    # shellcheck source=/dev/null
    [[ -z $CLUSTER ]] || . "$CLUSTER/cluster"
    [[ -f $SERVICES/ports ]] || return
    # shellcheck source=/dev/null
    . "$SERVICES/ports"
}

# Five ports, chosen once and kept, so that what was configured with them stays true. A server that is down
# and whose port somebody took meanwhile gets another; one that lives and does not answer is ended. Below 32768, where Linux begins to give ports to
# outgoing connections.
ports_choose() {
    ports_load || true
    local taken=" "
    if ! postgresql_runs; then
        postgresql_stop
        port_choose POSTGRESQL_PORT
    fi
    if ! rabbitmq_runs; then
        rabbitmq_stop
        port_choose AMQP_PORT
        port_choose CONSOLE_PORT
        port_choose DISTRIBUTION_PORT
        [[ -n $CLUSTER ]] || port_choose EPMD_PORT
    fi
    cat >"$SERVICES/ports" <<EOF
POSTGRESQL_PORT=$POSTGRESQL_PORT
AMQP_PORT=$AMQP_PORT
CONSOLE_PORT=$CONSOLE_PORT
DISTRIBUTION_PORT=$DISTRIBUTION_PORT
EPMD_PORT=$EPMD_PORT
EOF
}

# Sets the named variable to a free port, the one that it has if that is free.
port_choose() {
    local -n port=$1
    local was=${port:-} deadline=$((SECONDS + 3))
    # What was killed a moment ago may listen still, though it is no process any more.
    while [[ -n $was ]] && ((SECONDS < deadline)) && port_answers "$was"; do sleep 0.1; done
    port=${was:-$((15000 + RANDOM % 17000))}
    while [[ $taken == *" $port "* ]] || port_answers "$port"; do
        port=$((15000 + RANDOM % 17000))
    done
    taken+="$port "
    [[ -z $was || $was == "$port" ]] || say "port $was is taken by somebody; $1 is now $port"
}

pid_of() { cat "$SERVICES/$1.pid" 2>/dev/null; }

# Whether the recorded process lives and is the one that we started: a number comes back after a reboot, as
# somebody else's. The mark is a whole argument or a whole environment entry of the process.
is_ours() {
    local pid mark=$2
    pid=$(pid_of "$1") && [[ -n $pid ]] || return
    grep -qzxF -- "$mark" "/proc/$pid/cmdline" "/proc/$pid/environ" 2>/dev/null
}

# Starts a server that outlives this script and its terminal, and records its pid: launch NAME LOG COMMAND...
# The shell opens the log, because the server's user perhaps may not.
launch() {
    local name=$1 log=$2
    shift 2
    setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
    echo "$!" >"$SERVICES/$name.pid"
}

# Sends the signal to a process of ours and waits until it is gone: end NAME MARK SIGNAL
end() {
    local name=$1 mark=$2 pid deadline=$((SECONDS + STOP_SECONDS))
    if is_ours "$name" "$mark"; then
        pid=$(pid_of "$name")
        kill -s "$3" "$pid" || true
        while is_ours "$name" "$mark"; do
            if ((SECONDS > deadline)); then
                say "$name (pid $pid) did not leave within $STOP_SECONDS s and is killed"
                kill -s KILL "$pid" || true
                deadline=$((SECONDS + STOP_SECONDS))
            fi
            sleep 0.05
        done
        say "stopped $name"
    fi
    rm -f "$SERVICES/$name.pid"
}

# Starts a server and waits until it answers: start_server NAME LOG START ANSWERS, the last two being
# functions. One that dies at once is started again: after a kill -9 the children of the dead one hold on to
# memory or names for a moment.
start_server() {
    local name=$1 log=$2 begin=$3 answers=$4 deadline=$((SECONDS + START_SECONDS)) tries=1 started
    started=$(now_ms)
    "$begin"
    until "$answers"; do
        if ! kill -0 "$(pid_of "$name")" 2>/dev/null; then
            if ((tries == 3)); then give_up "$name ended at once" "$log"; fi
            tries=$((tries + 1))
            sleep 1
            "$begin"
        fi
        if ((SECONDS > deadline)); then give_up "$name does not answer after $START_SECONDS s" "$log"; fi
        sleep 0.1
    done
    say "$name answers after $(since "$started")"
}

give_up() {
    say "the end of $2:"
    tail -n 30 "$2" >&2 || true
    die "$1"
}
