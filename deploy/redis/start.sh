#!/bin/sh
# Starts Redis with the password of REDISCLI_AUTH. It is handed over on standard input: as an argument
# it would show in every list of processes. Further options may follow as arguments.
set -eu
umask 077

password=${REDISCLI_AUTH:?is not set; give Redis a password}
usable=true
case $password in *[!A-Za-z0-9._~-]*) usable=false ;; esac
[ "${#password}" -ge 16 ] || usable=false
if [ "$usable" = false ]; then
    echo 'COPYDESK_REDIS_PASSWORD: take 16 or more letters, digits and . _ ~ - only, because it' \
        'stands in a URL; openssl rand -hex 24 makes one' >&2
    exit 2
fi

exec redis-server "$(dirname "$0")/redis.conf" "$@" - <<CONFIGURATION
requirepass "$password"
CONFIGURATION
