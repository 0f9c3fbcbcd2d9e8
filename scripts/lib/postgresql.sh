# The private PostgreSQL cluster. Sourced by scripts/services.
# shellcheck shell=bash

# Durable as in production (fsync and synchronous_commit stay on): tests must feel what a commit costs.
# No unix socket: its path may be at most 107 bytes long, which a deep checkout exceeds.
POSTGRESQL_SETTINGS=(
    -c listen_addresses=127.0.0.1
    -c unix_socket_directories=
    -c max_connections=400
    -c timezone=UTC
    -c log_timezone=UTC
)

# The programs of the newest version that is installed, at least 15.
postgresql_newest() {
    local server version newest=0
    for server in "$TREE"/usr/lib/postgresql/*/bin/postgres; do
        version=${server#"$TREE"/usr/lib/postgresql/}
        version=${version%%/*}
        if [[ -x $server && $version =~ ^[0-9]+$ ]] && ((version > newest)); then newest=$version; fi
    done
    ((newest >= 15)) && echo "/usr/lib/postgresql/$newest/bin"
}

# Sets POSTGRESQL_HOME to where the cluster is, if it was ever placed.
postgresql_place_known() {
    POSTGRESQL_HOME=$SERVICES/postgresql
    if [[ -f $SERVICES/postgresql.path ]]; then POSTGRESQL_HOME=$(cat "$SERVICES/postgresql.path"); fi
}

# Decides where the cluster is and who runs it. PostgreSQL refuses to run as root, so root lends it to another
# user, who may be unable to reach a checkout under /root: then the cluster is put under /var/tmp.
postgresql_place() {
    postgresql_place_known
    if [[ ! -d $POSTGRESQL_HOME/data ]]; then
        if ! postgresql_place_at "$POSTGRESQL_HOME"; then
            local user
            user=$(postgresql_user)
            rm -rf "$POSTGRESQL_HOME"
            POSTGRESQL_HOME=/var/tmp/code-imports-$CHECKOUT
            say "user $user cannot work in $SERVICES, so PostgreSQL's data is in $POSTGRESQL_HOME"
            postgresql_clear_forgotten "$user"
            postgresql_place_at "$POSTGRESQL_HOME" || die "user $user cannot work in $POSTGRESQL_HOME either"
            echo "$POSTGRESQL_HOME" >"$SERVICES/postgresql.path"
        fi
    fi
    if ((EUID == 0)); then
        POSTGRESQL_AS=(setpriv "--reuid=$(stat -c %u "$POSTGRESQL_HOME")"
            "--regid=$(stat -c %g "$POSTGRESQL_HOME")" --clear-groups --)
    else
        POSTGRESQL_AS=()
    fi
    postgresql_programs
}

# A cluster belongs to the version that made it.
postgresql_programs() {
    local made_by
    POSTGRESQL_BIN=$(postgresql_newest) || die "PostgreSQL 15 or newer is not installed"
    if [[ -f $POSTGRESQL_HOME/data/PG_VERSION ]]; then
        made_by=$(cat "$POSTGRESQL_HOME/data/PG_VERSION")
        POSTGRESQL_BIN=/usr/lib/postgresql/$made_by/bin
        [[ -x $TREE$POSTGRESQL_BIN/postgres ]] ||
            die "the cluster was made by PostgreSQL $made_by, which is gone: rm -rf .services $POSTGRESQL_HOME"
    fi
}

postgresql_user() { id -un postgres 2>/dev/null || echo nobody; }

# Makes the folder, and says whether its user can work there.
postgresql_place_at() {
    mkdir -p "$1" && chmod 700 "$1" || return
    if ((EUID == 0)); then
        local user
        user=$(postgresql_user)
        chown "$user:" "$1" 2>/dev/null || return
        setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups -- test -w "$1"
    fi
}

# A folder that .services no longer knows about (it was removed) is ended and removed, so that `start` begins
# anew. The name can be guessed by anybody and /var/tmp is everybody's: one of somebody else is not touched.
postgresql_clear_forgotten() {
    local user=$1
    [[ -e $POSTGRESQL_HOME || -L $POSTGRESQL_HOME ]] || return 0
    [[ ! -L $POSTGRESQL_HOME && $(stat -c %U "$POSTGRESQL_HOME") == "$user" ]] ||
        die "$POSTGRESQL_HOME is not ours: remove it"
    if [[ -f $POSTGRESQL_HOME/data/postmaster.pid ]]; then
        head -n 1 "$POSTGRESQL_HOME/data/postmaster.pid" >"$SERVICES/postgresql.pid"
        postgresql_stop
    fi
    rm -rf "$POSTGRESQL_HOME"
}

# Runs a command as PostgreSQL's user, with its programs on PATH, from a folder that this user can enter.
postgresql_run() (
    cd "$POSTGRESQL_HOME"
    exec "${IN_TREE[@]}" "${POSTGRESQL_AS[@]}" \
        env PATH="$POSTGRESQL_BIN:$PATH" PGDATA="$POSTGRESQL_HOME/data" "$@" 9>&-
)

# The role's password file and settings of the person who runs this must not matter.
postgresql_query() {
    "${IN_TREE[@]}" env -u PGPASSWORD -u PGOPTIONS -u PGSSLMODE -u PGSERVICE PGCONNECT_TIMEOUT=2 \
        "${POSTGRESQL_BIN:-$(postgresql_newest)}/psql" -XqAt -h 127.0.0.1 -p "$POSTGRESQL_PORT" \
        -U code_imports -d "$1" -c "$2" </dev/null 2>/dev/null
}

postgresql_answers() { [[ $(postgresql_query code_imports 'SELECT 1') == 1 ]]; }

postgresql_runs() {
    is_ours postgresql "$POSTGRESQL_HOME/data" && [[ -n ${POSTGRESQL_PORT:-} ]] && postgresql_answers
}

postgresql_start() {
    if postgresql_runs; then return; fi
    local log=$POSTGRESQL_HOME/log
    if [[ ! -d $POSTGRESQL_HOME/data ]]; then postgresql_init "$log"; fi
    postgresql_forget_stranger
    if has_tls; then postgresql_tls; fi
    start_server postgresql "$log" postgresql_begin postgresql_answers_or_create
}

postgresql_begin() {
    launch postgresql "$POSTGRESQL_HOME/log" \
        "${IN_TREE[@]}" "${POSTGRESQL_AS[@]}" "$POSTGRESQL_BIN/postgres" \
        -D "$POSTGRESQL_HOME/data" -p "$POSTGRESQL_PORT" "${POSTGRESQL_SETTINGS[@]}"
}

# With TLS, clients must show a certificate; without it only our own look at the server gets in. The key must be its
# user's own.
postgresql_tls() {
    local file owner
    owner=$(stat -c %U "$POSTGRESQL_HOME")
    for file in ca.pem server.pem server.key; do
        install -m 600 "$SERVICES_TLS/$file" "$POSTGRESQL_HOME/$file"
        if ((EUID == 0)); then chown "$owner:" "$POSTGRESQL_HOME/$file"; fi
    done
    printf '%s\n' 'hostnossl all code_imports 127.0.0.1/32 trust' \
        'hostssl all all 127.0.0.1/32 trust clientcert=verify-ca' >"$POSTGRESQL_HOME/tls.conf"
    if ((EUID == 0)); then chown "$owner:" "$POSTGRESQL_HOME/tls.conf"; fi
    POSTGRESQL_SETTINGS+=(-c ssl=on -c "ssl_ca_file=$POSTGRESQL_HOME/ca.pem"
        -c "ssl_cert_file=$POSTGRESQL_HOME/server.pem" -c "ssl_key_file=$POSTGRESQL_HOME/server.key"
        -c "hba_file=$POSTGRESQL_HOME/tls.conf")
}

# The database is made by whoever first finds the server ready and the database missing.
postgresql_answers_or_create() {
    postgresql_answers && return
    postgresql_query postgres 'CREATE DATABASE code_imports' && postgresql_answers
}

# Into another folder first, so that an initialisation that was interrupted leaves no half cluster.
postgresql_init() {
    local log=$1
    rm -rf "$POSTGRESQL_HOME/data.new"
    postgresql_run initdb -D "$POSTGRESQL_HOME/data.new" -U code_imports --auth=trust \
        --encoding=UTF8 --locale=C --no-instructions >>"$log" 2>&1 </dev/null ||
        give_up "PostgreSQL could not make a cluster" "$log"
    mv "$POSTGRESQL_HOME/data.new" "$POSTGRESQL_HOME/data"
}

# After a reboot the pid in PostgreSQL's own lock file may be somebody else's by now, and PostgreSQL would
# refuse to start. A pid that nobody has is PostgreSQL's to judge: it looks for orphans in shared memory.
postgresql_forget_stranger() {
    local file=$POSTGRESQL_HOME/data/postmaster.pid pid
    [[ -f $file ]] || return 0
    pid=$(head -n 1 "$file")
    if [[ -d /proc/$pid ]] && ! grep -qzxF -- "$POSTGRESQL_HOME/data" "/proc/$pid/cmdline" 2>/dev/null; then
        rm -f "$file"
    fi
}

# SIGINT is PostgreSQL's fast shutdown: it ends the sessions instead of waiting for them.
postgresql_stop() { end postgresql "$POSTGRESQL_HOME/data" INT; }
