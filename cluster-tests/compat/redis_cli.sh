#!/bin/sh
# redis-cli, as people and scripts use it: redis_cli.sh MODE PROTOCOL PORT (MODE plain or cluster; PROTOCOL default or 3).
set -eu
mode=$1 protocol=$2 port=$3
flags=""
[ "$mode" = cluster ] && flags="$flags -c"
[ "$protocol" = 3 ] && flags="$flags -3"
prefix="cli:$mode:$protocol"

cli() {
    # shellcheck disable=SC2086
    redis-cli -h 127.0.0.1 -p "$port" $flags "$@"
}

check() {
    [ "$2" = "$3" ] || { printf '%s: got <%s>, wanted <%s>\n' "$1" "$2" "$3"; exit 1; }
}

check PING "$(cli PING)" PONG
check SET "$(cli SET "$prefix:a" 1)" OK
check GET "$(cli GET "$prefix:a")" 1
check "GET of nothing" "$(cli GET "$prefix:none")" ""
check DEL "$(cli DEL "$prefix:n" >/dev/null && cli INCRBY "$prefix:n" 42)" 42
check error "$(cli GET)" "ERR wrong number of arguments for 'get' command"
check unknown "$(cli NOSUCH x y)" "ERR unknown command 'NOSUCH', with args beginning with: 'x' 'y' "
check TYPE "$(cli TYPE "$prefix:a")" string
# redis-cli forgets MULTI where it is redirected, so this asks the node whose slot it is.
there=$(redis-cli -h 127.0.0.1 -p "$port" GET "{$prefix}t" | sed -n 's/^MOVED .*://p')
check transaction "$(printf 'MULTI\nSET {%s}t 1\nINCR {%s}t\nEXEC\n' "$prefix" "$prefix" |
    redis-cli -h 127.0.0.1 -p "${there:-$port}" | tail -n 1)" 2

# A hundred keys of many slots, one connection; in cluster mode each command is redirected to where it belongs.
i=0
while [ $i -lt 100 ]; do
    echo "SET $prefix:k:$i value-$i"
    i=$((i + 1))
done | cli >/dev/null
check "one of a hundred" "$(cli GET "$prefix:k:57")" value-57
if [ "$mode" = plain ]; then
    check "--scan" "$(cli --scan --pattern "$prefix:k:*" | sort -u | wc -l | tr -d ' ')" 100
    check MGET "$(cli MGET "$prefix:k:1" "$prefix:k:2" | tr '\n' ' ')" "value-1 value-2 "
    check "--pipe" "$(printf 'SET %s:pipe 1\r\n' "$prefix" | cli --pipe | tail -n 1)" "errors: 0, replies: 1"
    check "INFO" "$(cli INFO server | grep -c '^redis_version:')" 1
    check "--bigkeys" "$(cli --bigkeys | grep -c 'Sampled')" 1
fi
echo OK
