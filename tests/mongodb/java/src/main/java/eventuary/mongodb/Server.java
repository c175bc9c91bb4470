package eventuary.mongodb;

import de.bwaldvogel.mongo.MongoServer;
import java.net.InetSocketAddress;
import java.nio.file.Path;

/**
 * MongoDB's protocol on a port of this machine. Says one line when it is ready, and ends when its
 * standard input does, so that it does not outlive what started it.
 *
 * <p>Arguments: PORT JOURNAL [REPLICA_SET], the last one to be a set of one member, with
 * transactions.
 */
public final class Server {

  private Server() {}

  public static void main(String[] arguments) throws Exception {
    InetSocketAddress address =
        new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
    String replicaSet = arguments.length > 2 ? arguments[2] : null;
    Journal journal = new Journal(Path.of(arguments[1]));
    MongoServer server = new MongoServer(new Backend(journal, address, replicaSet));
    server.bind(address);
    System.out.println("ready");
    while (System.in.read() >= 0) {}
    server.shutdownNow();
  }
}
