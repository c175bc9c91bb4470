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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One command at a time, and what it changes is in the journal before it is answered.
 *
 * <p>As a replica set it has transactions. Each command of one is carried out behind those before
 * it, and all of that is undone again before anybody else's turn; the commit carries out all of it
 * for good, unless others have changed a collection that it touched. Collections can't be made or
 * dropped within one.
 */
final class Backend extends MemoryBackend {

  private static final Set<String> WRITES = Set.of("insert", "update", "delete", "findAndModify");

  private static final Set<String> READS =
      Set.of("find", "getMore", "killCursors", "count", "distinct", "aggregate", "ping",
          "listCollections", "listIndexes", "listDatabases", "buildInfo", "endSessions");

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

  /** Open transactions, by session; and how often each collection was changed. */
  private final Map<Object, Transaction> transactions = new HashMap<>();

  private final Map<String, Long> changes = new HashMap<>();

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

  private Document inTurn(Channel channel, Document command) {
    if (Boolean.FALSE.equals(command.get("autocommit"))) {
      return inTransaction(command);
    }
    if (READS.contains(nameOf(command))) {
      return carryOut(channel, command);
    }
    ByteBuf encoded = Journal.encoded(command);
    Document answer = carryOut(channel, command);
    changes.merge(Transaction.collectionOf(command), 1L, Long::sum);
    journal.append(List.of(encoded));
    return answer;
  }

  private Document inTransaction(Document command) {
    Object session = command.get("lsid");
    if (Boolean.TRUE.equals(command.get("startTransaction"))) {
      transactions.put(session, new Transaction(command.get("txnNumber")));
    }
    Transaction open = transactions.get(session);
    if (open == null || !open.number.equals(command.get("txnNumber"))) {
      return passing(error(251, "NoSuchTransaction", "the transaction is not open"));
    }
    String name = nameOf(command);
    if (name.equals("abortTransaction")) {
      transactions.remove(session);
      return new Document("ok", 1.0);
    }
    if (open.isOutdated(changes)) {
      transactions.remove(session);
      return passing(error(112, "WriteConflict", "others have changed what it touched"));
    }
    if (name.equals("commitTransaction")) {
      transactions.remove(session);
      return commit(open);
    }
    if (name.equals("getMore")) {
      return carryOut(command);
    }
    if (!name.equals("find") && !WRITES.contains(name)) {
      return error(263, "OperationNotSupportedInTransaction", name + " in a transaction");
    }
    open.touch(command, changes);
    Document answer = behind(open, command);
    if (answer.containsKey("writeErrors")) {
      transactions.remove(session);
    }
    return answer;
  }

  /** Carries out a command behind those of its transaction, and lets nothing be left of it. */
  private Document behind(Transaction open, Document command) {
    Copies copies = new Copies(this::carryOut);
    try {
      for (ByteBuf before : open.commands) {
        Document write = Journal.decoded(before.duplicate());
        copies.keep(write);
        carryOut(write);
      }
      if (!WRITES.contains(nameOf(command))) {
        return carryOut(command);
      }
      copies.keep(command);
      open.commands.add(Journal.encoded(command));
      return carryOut(command);
    } finally {
      copies.putBack();
    }
  }

  private Document commit(Transaction open) {
    for (ByteBuf each : open.commands) {
      Document write = Journal.decoded(each.duplicate());
      carryOut(write);
      changes.merge(Transaction.collectionOf(write), 1L, Long::sum);
    }
    journal.append(open.commands);
    return new Document("ok", 1.0);
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

  /** An error after which the driver tries the whole transaction again. */
  private static Document passing(Document error) {
    return error.append("errorLabels", List.of("TransientTransactionError"));
  }

  private static Document error(int code, String name, String text) {
    Document answer = new Document("ok", 0.0);
    return answer.append("errmsg", text).append("code", code).append("codeName", name);
  }
}
