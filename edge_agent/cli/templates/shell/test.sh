# Run with `make test`.
. ./handler.sh

answer=$(handle "$(cat event.json)") || exit 1
wanted='{"message": "tank-1 says 18.2"}'
[ "$answer" = "$wanted" ] || { echo "wanted $wanted, got $answer"; exit 1; }

if handle '{"data": {}}' 2>/dev/null; then
    echo "an event without a value was answered"
    exit 1
fi
echo ok
