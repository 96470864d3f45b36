#!/bin/sh
# An instance of its own that sends everything to the relay. BURST sends so many mails besides;
# GIVES_UP=yes ends it at the first delay.
set -eu
conf=$WORK/etc
mkdir -p "$conf" "$WORK/queue" "$WORK/data"
chmod 755 "$WORK"
chown postfix "$WORK/data"
chown root:root "$conf"
printf '%s %s\n' "[localhost]:$PORT" "$NAME:$PASSWORD" > "$conf/passwords"
cat > "$conf/main.cf" <<END
compatibility_level = 3.6
queue_directory = $WORK/queue
data_directory = $WORK/data
maillog_file = $WORK/log
maillog_file_prefixes = /
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
mydestination =
myhostname = postfix.example
local_transport = error:nobody
relayhost = [localhost]:$PORT
smtp_host_lookup = native
smtp_tls_CAfile = $CA
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = localhost
smtp_tls_wrappermode = $([ "$TLS" = implicit ] && echo yes || echo no)
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:$conf/passwords
smtp_sasl_mechanism_filter = $MECHANISM
smtp_sasl_security_options = noanonymous
smtp_sasl_auth_soft_bounce = yes
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
default_destination_concurrency_failed_cohort_limit = 0
smtpd_authorized_xforward_hosts = 127.0.0.0/8
alias_maps =
alias_database =
END
cat > "$conf/master.cf" <<END
127.0.0.1:${SUBMIT_PORT:-0} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - 10 smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
END
[ -n "${SUBMIT_PORT:-}" ] || sed -i '/smtpd$/d' "$conf/master.cf"
trap 'postfix -c "$conf" stop > /dev/null 2>&1 || true; cat "$WORK/start" "$WORK/log"' EXIT
trap 'exit 1' TERM
postfix -c "$conf" start > "$WORK/start" 2>&1
sendmail -C "$conf" -oi -f "$FROM" "$TO" "$BCC" < "$MAIL"
[ -z "${BURST:-}" ] || smtp-source -c -s 5 -m "$BURST" -l 4000 -f "$FROM" -t "$TO" -S Burst \
    "127.0.0.1:$SUBMIT_PORT"
wanted=$((2 + ${BURST:-0}))  # a line for each recipient
final=bounced
[ "${GIVES_UP:-no}" = no ] || final='bounced|deferred'
until [ "$(grep -c 'status=sent' "$WORK/log")" -ge "$wanted" ]; do
    if grep -qE "status=($final)" "$WORK/log"; then
        exit 1
    fi
    sleep 0.1
done
