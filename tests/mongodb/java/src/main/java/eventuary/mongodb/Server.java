package eventuary.mongodb;

import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import java.util.Set;
import org.h2.mvstore.MVStore;

/**
 * MongoDB's protocol on a port of this machine, on one file. Says one line when it is ready, and
 * ends when its standard input does, so that it does not outlive what started it.
 *
 * <p>Arguments: PORT FILE
 */
public final class Server {

  /** What drivers of today ask for at least; the server's own versions say less. */
  private static final MongoVersion VERSION =
      new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
          return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
          return 9;
        }
      };

  private Server() {}

  public static void main(String[] arguments) throws Exception {
    MVStore store = new MVStore.Builder().fileName(arguments[1]).autoCommitDisabled().open();
    MongoServer server = new MongoServer(new Backend(store).version(VERSION));
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
    System.out.println("ready");
    while (System.in.read() >= 0) {}
    server.shutdown();
  }

  /** One command at a time, and what it writes is in the file before it is answered. */
  private static final class Backend extends H2Backend {

    private static final Set<String> READS =
        Set.of("hello", "ismaster", "isMaster", "find", "getMore", "ping", "killCursors");

    Backend(MVStore store) {
      super(store);
    }

    @Override
    public synchronized Document handleMessage(MongoMessage message) {
      Document command = message.getDocument();
      String name = command.keySet().iterator().next();
      if (name.equals("hello")) {
        // As it was called before: the backend knows it by that name alone.
        return handleCommand(message.getChannel(), "admin", "ismaster", command);
      }
      try {
        return super.handleMessage(message);
      } finally {
        if (!READS.contains(name)) {
          commit();
        }
      }
    }
  }
}
