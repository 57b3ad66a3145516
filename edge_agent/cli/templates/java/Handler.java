import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;
import java.util.Objects;

/** What @NAME@ does with an event. */
public class Handler implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    /** `event` is a CloudEvent (event.json); what is returned is the answer, as JSON. An exception is a failed attempt. */
    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Map<?, ?> data = (Map<?, ?>) event.get("data");
        Object device = data.get("device");
        Object value = Objects.requireNonNull(data.get("value"), "the event has no value");
        String message = (device == null ? "somebody" : device) + " says " + value;
        System.out.println(message);
        return Map.of("message", message);
    }
}
