# The private RabbitMQ node. Sourced by scripts/services.
# shellcheck shell=bash

# Debian's program on PATH changes to the user `rabbitmq`; the one here runs as whoever calls it.
RABBITMQ_BIN=/usr/lib/rabbitmq/bin
RABBITMQ_DIR=$SERVICES/rabbitmq

# By this entry in their environment the node and its port mapper are known as ours.
RABBITMQ_MARK=CODE_IMPORTS_SERVICES=$SERVICES

# What a node is called, by the folder that it serves: node_name FOLDER
node_name() {
    local sum
    sum=$(cksum <<<"$1")
    printf 'code-imports-%08x@localhost' "${sum%% *}"
}

# The whole environment of the node, of its port mapper (epmd) and of rabbitmqctl; nothing else is inherited.
# HOME is where Erlang keeps the cookie. An own epmd on an own port: two nodes of two checkouts, or of two
# users, would share the first one's, and lose it with that one. Every file that RabbitMQ would look for
# under /etc is named, so that the machine's own configuration does not reach us.
rabbitmq_environment() {
    RABBITMQ_AS=("${IN_TREE[@]}" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$RABBITMQ_DIR" "$RABBITMQ_MARK"
        ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$EPMD_PORT"
        RABBITMQ_NODENAME="$(node_name "${SERVICES_DIR:-$ROOT}")"
        RABBITMQ_DIST_PORT="$DISTRIBUTION_PORT"
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
        RABBITMQ_CONF_ENV_FILE="$RABBITMQ_DIR/rabbitmq-env.conf"
        RABBITMQ_CONFIG_FILE="$RABBITMQ_DIR/rabbitmq.conf"
        RABBITMQ_CONFIG_FILES="$RABBITMQ_DIR/conf.d"
        RABBITMQ_ADVANCED_CONFIG_FILE="$RABBITMQ_DIR/advanced.config"
        RABBITMQ_ENABLED_PLUGINS_FILE="$RABBITMQ_DIR/enabled_plugins"
        RABBITMQ_MNESIA_BASE="$RABBITMQ_DIR/data"
        RABBITMQ_LOG_BASE="$RABBITMQ_DIR/log")
}

# The console costs half of a start and nearly all of a stop: a test that does both often can do without.
has_console() { [[ -z ${SERVICES_WITHOUT_CONSOLE:-} ]]; }

rabbitmq_ctl() {
    ports_load || die "nothing was started here: scripts/services start"
    rabbitmq_environment
    rabbitmq_runs || die "RabbitMQ does not run: scripts/services start"
    epmd_begin
    "${RABBITMQ_AS[@]}" "$RABBITMQ_BIN/rabbitmqctl" "$@"
}

# Written at every start: they are derived from the ports and hold nothing of anybody's.
# Without `guest` there is one account, the coordinator's. One message may be 1 MiB, the protocol's limit.
rabbitmq_configure() {
    mkdir -p "$RABBITMQ_DIR"/{conf.d,data,log}
    local plugins='' console='' listeners="listeners.tcp.1 = 127.0.0.1:$AMQP_PORT"
    if has_tls; then
        listeners="listeners.tcp = none
listeners.ssl.1 = 127.0.0.1:$AMQP_PORT
$(rabbitmq_tls ssl_options)"
    fi
    if has_console; then
        plugins=rabbitmq_management
        console="management.tcp.ip = 127.0.0.1
management.tcp.port = $CONSOLE_PORT"
        if has_tls; then
            console="management.ssl.ip = 127.0.0.1
management.ssl.port = $CONSOLE_PORT
$(rabbitmq_tls management.ssl)"
        fi
    fi
    echo "[$plugins]." >"$RABBITMQ_DIR/enabled_plugins"
    cat >"$RABBITMQ_DIR/rabbitmq.conf" <<EOF
$listeners
$console
default_user = coordinator
default_pass = coordinator
max_message_size = 1048576
disk_free_limit.absolute = 200MB
vm_memory_high_watermark.absolute = 2GB
collect_statistics_interval = 1000
log.console = false
log.file = rabbitmq.log
log.file.level = info
EOF
    [[ -z $CLUSTER ]] || rabbitmq_configure_cluster
}

# Whoever is new joins the first one. A node that sees neither of the others pauses, so that two never go on apart.
rabbitmq_configure_cluster() {
    local cookie=$RABBITMQ_DIR/.erlang.cookie
    cat >>"$RABBITMQ_DIR/rabbitmq.conf" <<EOF
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = $CLUSTER_SEED
cluster_partition_handling = pause_minority
EOF
    [[ -f $cookie ]] || (umask 277 && printf %s "$CLUSTER_COOKIE" >"$cookie")
}

# The certificates of a listener, which wants one of every client: rabbitmq_tls WHICH
rabbitmq_tls() {
    printf '%s\n' "$1.cacertfile = $SERVICES_TLS/ca.pem" "$1.certfile = $SERVICES_TLS/server.pem" \
        "$1.keyfile = $SERVICES_TLS/server.key" "$1.verify = verify_peer" "$1.fail_if_no_peer_cert = true"
}

# The console is asked as the coordinator: it answers once plugins, users and permissions are there. The port
# is opened when all but the plugins is.
rabbitmq_answers() { port_answers "$AMQP_PORT" && { ! has_console || console_answers; }; }

# One request by hand: a fresh machine has no curl, and rabbitmqctl takes seconds. Nobody speaks TLS by hand.
console_answers() (
    if has_tls; then
        port_answers "$CONSOLE_PORT"
        exit
    fi
    credentials=$(printf coordinator:coordinator | base64)
    { exec 3<>"/dev/tcp/127.0.0.1/$CONSOLE_PORT"; } 2>/dev/null || exit
    printf '%s\r\n' 'GET /api/overview HTTP/1.1' 'Host: 127.0.0.1' \
        "Authorization: Basic $credentials" 'Connection: close' '' >&3
    IFS= read -r -t 5 answer <&3 && [[ $answer == 'HTTP/1.1 200 '* ]]
)

rabbitmq_runs() {
    [[ -n ${CONSOLE_PORT:-} ]] && is_ours rabbitmq "$RABBITMQ_MARK" && rabbitmq_answers
}

rabbitmq_start() {
    rabbitmq_environment
    if rabbitmq_runs; then
        # The node notices a new port mapper by itself.
        epmd_begin
        return
    fi
    rabbitmq_configure
    start_server rabbitmq "$RABBITMQ_DIR/log/rabbitmq.log" rabbitmq_begin rabbitmq_answers
}

# Files for queues and sockets; not "as many as allowed", which in a container may be a billion, and Erlang
# makes a table of them.
rabbitmq_begin() {
    local most
    most=$(ulimit -Hn)
    if [[ $most == unlimited ]] || ((most > 65536)); then most=65536; fi
    ulimit -Sn "$most" || true
    epmd_begin
    # `detached` makes the script become the node instead of its parent, so that the pid is the node's.
    launch rabbitmq "$RABBITMQ_DIR/log/start.log" "${RABBITMQ_AS[@]}" detached=true \
        "$RABBITMQ_BIN/rabbitmq-server"
}

# Erlang starts one wherever it finds none, but then we would not know its pid: so ours is always first.
epmd_begin() {
    local deadline=$((SECONDS + 10))
    # That of a cluster is there before its nodes, and ends after them.
    if [[ -n $CLUSTER ]] || is_ours epmd "$RABBITMQ_MARK"; then return; fi
    launch epmd "$RABBITMQ_DIR/log/epmd.log" "${RABBITMQ_AS[@]}" \
        epmd -port "$EPMD_PORT" -address 127.0.0.1
    until port_answers "$EPMD_PORT"; do
        if ((SECONDS > deadline)); then give_up "epmd does not answer" "$RABBITMQ_DIR/log/epmd.log"; fi
        sleep 0.05
    done
}

# SIGTERM lets the node close its queues. That takes 6 s, of which RabbitMQ (its management plugin) waits 5 for
# an answer that cannot come any more; `rabbitmqctl stop` takes longer. The port mapper goes last.
rabbitmq_stop() {
    end rabbitmq "$RABBITMQ_MARK" TERM
    [[ -n $CLUSTER ]] || end epmd "$RABBITMQ_MARK" TERM
}
