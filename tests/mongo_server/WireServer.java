import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.net.InetSocketAddress;
import java.util.Collection;
import java.util.List;

/** MongoDB's wire protocol on a loopback port, over one H2 file: `java WireServer FILE PORT` (0 = a free one, printed). */
public class WireServer {
    public static void main(String[] arguments) {
        MongoServer server = new MongoServer(new DurableBackend(arguments[0]).version(new Oldest()));
        server.bind("127.0.0.1", Integer.parseInt(arguments[1]));
        InetSocketAddress address = server.getLocalAddress();
        System.out.println("listening " + address.getPort());
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
    }

    /** The oldest server that pymongo accepts: what works here needs nothing newer. */
    static class Oldest implements MongoVersion {
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 29);
        }

        public int getWireVersion() {
            return 9;
        }
    }

    /** Answers a command only when what it changed is in the file: H2 alone writes once a second, and kill -9 loses that. */
    static class DurableBackend extends H2Backend {
        private final Failures failures = new Failures();

        DurableBackend(String file) {
            super(file);
        }

        @Override
        public Document handleMessage(MongoMessage message) {
            Document command = message.getDocument();
            String name = command.keySet().iterator().next();
            if (name.equals("configureFailPoint")) {
                return failures.configure(command);
            }
            Document failure = failures.next(name);
            if (failure != null) {
                return failure;
            }
            Document answer = super.handleMessage(message);
            commit();
            return answer;
        }
    }

    /** The part of MongoDB's `failCommand` that tests use: mode "off" or {times: n}; data {failCommands, errorCode}. */
    static class Failures {
        private int left;
        private int code;
        private Collection<?> commands = List.of();

        synchronized Document configure(Document command) {
            left = command.get("mode") instanceof Document mode ? ((Number) mode.get("times")).intValue() : 0;
            if (command.get("data") instanceof Document data) {
                commands = (Collection<?>) data.get("failCommands");
                code = ((Number) data.get("errorCode")).intValue();
            }
            return new Document("ok", 1.0);
        }

        synchronized Document next(String name) {
            if (left == 0 || !commands.contains(name)) {
                return null;
            }
            left--;
            String message = "Failing command via 'failCommand' failpoint";
            return new Document("ok", 0.0).append("errmsg", message).append("code", code);
        }
    }
}
