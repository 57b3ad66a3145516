import java.util.Map;

/** Run with `make test`. */
public class HandlerTest {
    public static void main(String[] arguments) {
        Map<String, Object> event = Map.of("data", Map.of("device", "tank-1", "value", 18.2));
        check("it says what the device measured",
                Map.of("message", "tank-1 says 18.2").equals(new Handler().handleRequest(event, null)));
        check("an event without data is an error", fails(Map.of()));
        System.out.println("ok");
    }

    private static boolean fails(Map<String, Object> event) {
        try {
            new Handler().handleRequest(event, null);
            return false;
        } catch (NullPointerException expected) {
            return true;
        }
    }

    private static void check(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
