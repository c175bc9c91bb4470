package eventuary.mongodb;

import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Set;

/**
 * One command at a time, and what it changes is in the journal before it is answered.
 *
 * <p>As a replica set it has transactions, one at a time: while one is open, the commands of others
 * wait for its end. Collections can't be made or dropped within one.
 */
final class Backend extends MemoryBackend {

  private static final Set<String> WRITES = Set.of("insert", "update", "delete", "findAndModify");

  private static final Set<String> READS =
      Set.of("find", "getMore", "killCursors", "count", "distinct", "aggregate", "ping",
          "listCollections", "listIndexes", "listDatabases", "buildInfo", "endSessions");

  /** Milliseconds for which a command waits for the end of another's transaction. */
  private static final long PATIENCE = 10_000;

  /** What drivers of today ask for at least; the backend's own versions say less. */
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

  private final Channel nobody = new EmbeddedChannel();
  private final Journal journal;
  private final String address;
  private final String replicaSet;
  private Transaction open;

  /** {@code replicaSet} may be null. */
  Backend(Journal journal, InetSocketAddress address, String replicaSet) throws IOException {
    this.journal = journal;
    this.address = address.getHostString() + ":" + address.getPort();
    this.replicaSet = replicaSet;
    version(VERSION);
    journal.replay(this::repeat);
  }

  @Override
  public MemoryDatabase openOrCreateDatabase(String name) {
    return new Storage(name, getCursorRegistry());
  }

  /** Drivers ask who this is by the old name of a command, and by the new one. */
  @Override
  public Document handleCommand(Channel channel, String database, String name, Document command) {
    if (!asksWhoThisIs(name)) {
      return super.handleCommand(channel, database, name, command);
    }
    Document answer = super.handleCommand(channel, database, "ismaster", command);
    answer.put("isWritablePrimary", true);
    if (replicaSet != null) {
      answer.append("setName", replicaSet).append("setVersion", 1).append("me", address);
      answer.append("hosts", List.of(address)).append("primary", address);
      answer.put("logicalSessionTimeoutMinutes", 30);
    }
    return answer;
  }

  @Override
  public Document handleMessage(MongoMessage message) {
    Document command = message.getDocument();
    if (asksWhoThisIs(nameOf(command))) {
      return handleCommand(message.getChannel(), "admin", nameOf(command), command);
    }
    synchronized (this) {
      return inTurn(message.getChannel(), command);
    }
  }

  @Override
  public void handleClose(Channel channel) {
    synchronized (this) {
      if (open != null && channel.equals(open.channel)) {
        end(false);
      }
    }
    super.handleClose(channel);
  }

  private Document inTurn(Channel channel, Document command) {
    String name = nameOf(command);
    boolean within = Boolean.FALSE.equals(command.get("autocommit"));
    boolean first = Boolean.TRUE.equals(command.get("startTransaction"));
    if (!within || first) {
      if (!waitForTurn()) {
        return error(24, "LockTimeout", "a transaction of somebody else is open");
      }
    } else if (open == null
        || !open.session.equals(command.get("lsid"))
        || !open.number.equals(command.get("txnNumber"))) {
      Document error = error(251, "NoSuchTransaction", "the transaction is not open");
      return error.append("errorLabels", List.of("TransientTransactionError"));
    }
    if (first) {
      open = new Transaction(command.get("lsid"), command.get("txnNumber"));
    }
    if (within) {
      open.channel = channel;
    }
    if (name.equals("commitTransaction") || name.equals("abortTransaction")) {
      end(name.equals("commitTransaction"));
      return new Document("ok", 1.0);
    }
    if (READS.contains(name)) {
      return carryOut(channel, command);
    }
    ByteBuf encoded = Journal.encoded(command);
    if (open == null) {
      Document answer = carryOut(channel, command);
      journal.append(List.of(encoded));
      return answer;
    }
    if (!WRITES.contains(name)) {
      return error(263, "OperationNotSupportedInTransaction", name + " in a transaction");
    }
    open.keep(command, this::carryOut);
    Document answer = carryOut(channel, command);
    open.commands.add(encoded);
    return answer;
  }

  private boolean waitForTurn() {
    long end = System.currentTimeMillis() + PATIENCE;
    try {
      while (open != null) {
        long left = end - System.currentTimeMillis();
        if (left <= 0) {
          return false;
        }
        wait(left);
      }
    } catch (InterruptedException ended) {
      return false;
    }
    return true;
  }

  private void end(boolean commit) {
    if (commit) {
      journal.append(open.commands);
    } else {
      open.undo(this::carryOut);
    }
    open = null;
    notifyAll();
  }

  private Document carryOut(Document command) {
    return carryOut(nobody, command);
  }

  private Document carryOut(Channel channel, Document command) {
    return handleCommand(channel, (String) command.get("$db"), nameOf(command), command);
  }

  private void repeat(Document command) {
    try {
      carryOut(command);
    } catch (RuntimeException refused) {
      // It was refused then, too.
    }
  }

  private static boolean asksWhoThisIs(String name) {
    return name.equals("hello") || name.equalsIgnoreCase("ismaster");
  }

  private static String nameOf(Document command) {
    return command.keySet().iterator().next();
  }

  private static Document error(int code, String name, String text) {
    Document answer = new Document("ok", 0.0);
    return answer.append("errmsg", text).append("code", code).append("codeName", name);
  }
}
