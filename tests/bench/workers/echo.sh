#!/bin/sh
# A function in shell: asks once, answers, ends. Its process is a fresh one for every event, so all that can be done before the
# event comes is done before, and after it there is one process to start: the one that answers.
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
return=$(printf '\r')
headers=$(busybox wget -q -S -O event.json "$api/next" 2>&1)
while read -r name value; do
    case "$name" in [Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d:) id=${value%"$return"} ;; esac
done <<END
$headers
END
exec busybox wget -q -O /dev/null --post-data '{"done":true}' "$api/$id/response"
