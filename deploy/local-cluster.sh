#!/usr/bin/env bash
# A cluster of several Ray nodes and an S3 server on this machine, each node's processes apart from the others', to
# try and to test what happens on many machines. All listen on the loopback address.
set -euo pipefail

usage() {
  cat <<'END'
deploy/local-cluster.sh COMMAND

  up [NODES]      an S3 server, a head without cores, and so many nodes of CLUSTER_CPUS cores (2); then the service
  env             what a shell needs to talk to it:  eval "$(deploy/local-cluster.sh env)"
  deploy [FILE]   the Serve file FILE (deploy/serve.yaml), also over one that runs
  start NAME      the head, or a node of this name
  kill NAME       SIGKILL to all processes of the head or of a node
  list            nodes and their process ids
  down            ends all of it and removes what it kept

All is kept in CLUSTER_DIR (out/cluster). With AWS_ENDPOINT_URL and DAP_STORE set before `up`, that store is used.
END
}

dir=${CLUSTER_DIR:-out/cluster}
bin=$(dirname "$(command -v "${PYTHON:-.venv/bin/python}")")

free_port() { "$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

tree() { # all processes below one, itself first
  local child
  echo "$1"
  for child in $(pgrep -P "$1" || true); do tree "$child"; done
}

end() { # ends the processes of a pid file with a signal
  local file=$dir/pids/$2 pids
  [[ -f $file ]] || return 0
  pids=$(tree "$(cat "$file")")
  kill -s "$1" $pids 2> /dev/null || true
  for _ in $(seq 100); do
    kill -0 $pids 2> /dev/null || break
    sleep 0.1
  done
  kill -s KILL $pids 2> /dev/null || true
  rm -f "$file"
}

launch() { # NAME COMMAND...: in the background, in a session of its own
  local name=$1
  shift
  setsid "$@" > "$dir/logs/$name.log" 2>&1 < /dev/null &
  echo $! > "$dir/pids/$name"
}

address() { # 127.0.0.2 is the head, 127.0.0.3 node-1, and so on
  local number=${1#node-}
  [[ $1 == head ]] && number=0
  echo "127.0.0.$((number + 2))"
}

wait_for() { # WHAT COMMAND...: until the command succeeds
  local what=$1
  shift
  for _ in $(seq 240); do
    "$@" > /dev/null 2>&1 && return 0
    sleep 0.5
  done
  echo "$what did not come up in two minutes; see $dir/logs" >&2
  exit 1
}

write_env() {
  local port
  {
    for name in GCS_PORT DASHBOARD_PORT HTTP_PORT STORE_PORT; do
      port=$(free_port)
      echo "export CLUSTER_$name=$port"
    done
    echo "export CLUSTER_TMP=$(mktemp -d /tmp/dap-ray.XXXXXX)"
    echo "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$("$bin/python" -c 'import secrets; print(secrets.token_hex(32))')"
    echo 'export RAY_USAGE_STATS_ENABLED=0 RAY_gcs_rpc_server_reconnect_timeout_s=600'
    echo "export RAY_gcs_storage=rocksdb RAY_gcs_storage_path=$(realpath "$dir")/gcs"
    echo 'export RAY_ADDRESS=http://127.0.0.1:$CLUSTER_DASHBOARD_PORT CLUSTER_URL=http://127.0.0.1:$CLUSTER_HTTP_PORT'
    echo 'export DAP_HOST=0.0.0.0 DAP_PORT=$CLUSTER_HTTP_PORT DAP_CPUS_PER_REPLICA=1 DAP_GPUS_PER_REPLICA=0'
    if [[ -n ${AWS_ENDPOINT_URL:-} && -n ${DAP_STORE:-} ]]; then
      echo "export AWS_ENDPOINT_URL=$AWS_ENDPOINT_URL DAP_STORE=$DAP_STORE CLUSTER_OWN_STORE="
    else
      echo 'export AWS_ENDPOINT_URL=http://127.0.0.1:$CLUSTER_STORE_PORT DAP_STORE=s3://dap/root CLUSTER_OWN_STORE=yes'
      echo 'export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local-secret AWS_DEFAULT_REGION=us-east-1'
    fi
  } > "$dir/env"
}

start_store() {
  local meta=sqlite3://$(realpath "$dir")/store.db
  export MINIO_ROOT_USER=$AWS_ACCESS_KEY_ID MINIO_ROOT_PASSWORD=$AWS_SECRET_ACCESS_KEY
  "$bin/juicefs" format --storage file --bucket "$(realpath "$dir")/objects/" "$meta" dap > "$dir/logs/format.log" 2>&1
  launch store "$bin/juicefs" gateway --multi-buckets --no-usage-report --no-banner "$meta" "127.0.0.1:$CLUSTER_STORE_PORT"
  wait_for "the S3 server" curl -sf "$AWS_ENDPOINT_URL/minio/health/live"
  "$bin/python" "$(dirname "$0")/make_bucket.py" dap > "$dir/logs/bucket.log"
}

launch_node() { # NAME CHECK COMMAND...: until the check succeeds; again when it ends before, as a container would be
  local name=$1 check=$2
  shift 2
  launch "$name" "$@"
  for _ in $(seq 240); do
    eval "$check" > /dev/null 2>&1 && return 0
    kill -0 "$(cat "$dir/pids/$name")" 2> /dev/null || launch "$name" "$@"
    sleep 0.5
  done
  echo "$name did not come up in two minutes; see $dir/logs" >&2
  exit 1
}

start() { # each node has a loopback address of its own; Ray takes 127.0.0.1 for the machine's outer one
  local host common
  host=$(address "$1")
  export DAP_NODE_ADDRESS=$host # jobs that run there belong to it
  common=(--node-ip-address="$host" --object-store-memory=200000000 --disable-usage-stats --block
    --dashboard-agent-listen-port="$(free_port)")
  if [[ $1 == head ]]; then
    rm -f "$CLUSTER_TMP/ray_current_cluster" # from it and from nodes that wait Ray concludes that the dead head runs
    launch_node head 'curl -sf $RAY_ADDRESS/api/gcs_healthz && grep -q "Ray runtime started" $dir/logs/head.log' \
      "$bin/ray" start --head --port="$CLUSTER_GCS_PORT" --num-cpus=0 --labels=dap-role=head --temp-dir="$CLUSTER_TMP" \
      --dashboard-host=127.0.0.1 --dashboard-port="$CLUSTER_DASHBOARD_PORT" "${common[@]}"
    return
  fi
  launch_node "$1" 'grep -q "Ray runtime started" $dir/logs/$name.log' \
    "$bin/ray" start --address="$(address head):$CLUSTER_GCS_PORT" --num-cpus="${CLUSTER_CPUS:-2}" "${common[@]}"
}

deploy() {
  sed -e "s/host: 0.0.0.0/host: 127.0.0.1/" -e "s/port: 8000/port: $CLUSTER_HTTP_PORT/" "${1:-deploy/serve.yaml}" > "$dir/serve.yaml"
  "$bin/serve" deploy "$dir/serve.yaml" --address "$RAY_ADDRESS"
  local status
  for _ in $(seq 90); do
    sleep 1
    status=$("$bin/serve" status --address "$RAY_ADDRESS")
    case $status in
      *DEPLOY_FAILED*) echo "$status" >&2; exit 1 ;;
      *DEPLOYING* | *UPDATING* | *NOT_STARTED*) continue ;;
    esac
    curl -sf "$CLUSTER_URL/readyz" > /dev/null && return 0
  done
  echo "the service is not ready: $status" >&2
  exit 1
}

up() {
  local number
  if [[ -e $dir/env ]]; then
    echo "$dir holds a cluster; end it with: $0 down" >&2
    exit 2
  fi
  umask 077 # the token is in env
  mkdir -p "$dir/pids" "$dir/logs" "$dir/gcs"
  write_env
  source "$dir/env"
  [[ -z $CLUSTER_OWN_STORE ]] || start_store
  start head
  for number in $(seq "${1:-2}"); do start "node-$number"; done
}

command=${1:-help}
shift || true
[[ $command == up || $command == help || -e $dir/env ]] || { echo "there is no cluster in $dir; start one with: $0 up" >&2; exit 2; }
[[ -e $dir/env ]] && source "$dir/env"
case $command in
  up) up "$@" ;;
  env) cat "$dir/env" ;;
  deploy) deploy "$@" ;;
  start) start "${1:?the name of a node}" ;;
  kill) end KILL "${1:?the name of a node}" ;;
  list) for file in "$dir"/pids/*; do echo "$(basename "$file") $(tree "$(cat "$file")" | tr '\n' ' ')"; done ;;
  down)
    for file in "$dir"/pids/node-* "$dir/pids/head" "$dir/pids/store"; do [[ -e $file ]] && end TERM "$(basename "$file")"; done
    rm -rf "$CLUSTER_TMP" "$dir"
    ;;
  *) usage ;;
esac
