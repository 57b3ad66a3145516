# What @NAME@ does with an event. Its functions are called by `bootstrap`, and by `test.sh`.

# field NAME EVENT: a text or number of the event, whichever comes first under that name.
field() {
    case $2 in *"\"$1\":"*) ;; *) return 1 ;; esac
    value=${2#*"\"$1\":"}
    value=${value# }
    case $value in
    \"*) value=${value#\"}; printf %s "${value%%\"*}" ;;
    *) printf %s "${value%%[,\} ]*}" ;;
    esac
}

# handle EVENT: prints the answer, as JSON. What goes to standard error is the log; a failure is a failed attempt.
handle() {
    device=$(field device "$1") || device=somebody
    value=$(field value "$1") || { echo "the event has no value" >&2; return 1; }
    echo "$device says $value" >&2
    printf '{"message": "%s says %s"}' "$device" "$value"
}
