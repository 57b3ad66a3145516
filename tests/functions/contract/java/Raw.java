// Bytes that are no JSON: in Java a handler of streams.

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

public class Raw implements RequestStreamHandler {
    @Override
    public void handleRequest(InputStream event, OutputStream answer, Context context) throws IOException {
        for (int one = 0; one < 256; one++) {
            answer.write(one);
        }
    }
}
