// The contract's function (../README.md) on aws-lambda-java-runtime-interface-client.

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.LinkedHashMap;
import java.util.Map;

public class Function implements RequestHandler<Map<String, Object>, Object> {
    static {
        if ("fail".equals(System.getenv("CONTRACT_INIT"))) {
            throw new IllegalStateException("no driver for größe");
        }
    }

    public static class PumpDry extends RuntimeException {
        PumpDry() {
            super("no water: größer 🌡");
        }
    }

    private int served;

    private static void drainTheTank() {
        throw new PumpDry();
    }

    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        served++;
        Map<?, ?> data = (Map<?, ?>) event.get("data");
        switch ((String) data.get("do")) {
            case "echo":
                return event;
            case "who":
                sleep(data.get("seconds"));
                return Map.of("pid", ProcessHandle.current().pid(), "served", served, "id", event.get("id"));
            case "context":
                return describe(context);
            case "fail":
                System.out.println("about to fail: größe");
                drainTheTank();
                return null;
            case "sleep":
                sleep(data.get("seconds"));
                return "awake";
            case "length":
                return ((String) event.get("pad")).length();
            case "fill":
                return "x".repeat(((Number) data.get("count")).intValue());
            case "print":
                System.out.println("to standard output: größe");
                System.err.println("to standard error: größe");
                Runtime.getRuntime().halt(3);
                return null;
            default:
                return null;
        }
    }

    private static void sleep(Object seconds) {
        try {
            Thread.sleep(seconds == null ? 0 : (long) (((Number) seconds).doubleValue() * 1000));
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    private static Map<String, Object> describe(Context context) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("request", context.getAwsRequestId());
        told.put("function", context.getFunctionName());
        told.put("version", context.getFunctionVersion());
        told.put("arn", context.getInvokedFunctionArn());
        told.put("memory", context.getMemoryLimitInMB());
        told.put("group", context.getLogGroupName());
        told.put("stream", context.getLogStreamName());
        told.put("left", context.getRemainingTimeInMillis());
        told.put("trace", context.getXrayTraceId());
        told.put("identity", context.getIdentity() == null ? null : context.getIdentity().getIdentityId());
        told.put("client", context.getClientContext());
        return told;
    }
}
