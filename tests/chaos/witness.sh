#!/bin/bash
# Stands before git: writes down each transaction of refs, with the moments before and after it.
arguments=("$@")
while (($# > 0)); do
    case $1 in
        --git-dir) repository=$2 && shift 2 ;;
        -c) shift 2 ;;
        *) break ;;
    esac
done
if [[ ${1:-} != update-ref || ${2:-} != --stdin ]]; then exec git "${arguments[@]}"; fi
record=$(dirname -- "$0")/transactions/$$-$RANDOM
cat >"$record.input"
begun=${EPOCHREALTIME/./}
git "${arguments[@]}" <"$record.input"
code=$?
ended=${EPOCHREALTIME/./}
echo "$begun $ended $code $repository" >"$record.new" && mv "$record.new" "$record.times"
exit "$code"
