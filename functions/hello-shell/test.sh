#!/bin/busybox sh
# Run with `make test`: the function against a small agent, busybox's web server with a script of four lines.
work=$(/bin/busybox mktemp -d) || exit 1
trap 'kill $agent 2>/dev/null; /bin/busybox rm -rf "$work"' EXIT
/bin/busybox mkdir "$work/cgi-bin"
cat > "$work/cgi-bin/agent" <<END
#!/bin/busybox sh
case \$REQUEST_METHOD in
GET) printf 'Lambda-Runtime-Aws-Request-Id: 0a1b-2c3d\r\n\r\n'; /bin/busybox tr -d '\n' < "$PWD/event.json" ;;
POST) { echo "\$PATH_INFO"; /bin/busybox head -c "\$CONTENT_LENGTH"; } > "$work/answer"; printf '\r\n' ;;
esac
END
/bin/busybox chmod +x "$work/cgi-bin/agent"
port=$((20000 + $$ % 20000))
/bin/busybox httpd -f -p 127.0.0.1:$port -h "$work" &
agent=$!

tries=0
until AWS_LAMBDA_RUNTIME_API=127.0.0.1:$port/cgi-bin/agent /bin/busybox sh ./bootstrap 2> "$work/log"; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || { echo "nobody answered:"; cat "$work/log"; exit 1; }
    /bin/busybox usleep 20000
done

wanted='/2018-06-01/runtime/invocation/0a1b-2c3d/response
{"heard":"you"}'
answer=$(cat "$work/answer")
[ "$answer" = "$wanted" ] || { echo "wanted $wanted, got $answer"; exit 1; }
[ "$(cat "$work/log")" = "hello, you" ] || { echo "it printed: $(cat "$work/log")"; exit 1; }
echo ok
