package eventuary.mongodb;

import de.bwaldvogel.mongo.bson.Document;
import io.netty.buffer.ByteBuf;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What an open transaction has done so far, which nobody else sees, and what it has seen. */
final class Transaction {

  final Object number;

  /** Its writes, to be carried out when it is committed. */
  final List<ByteBuf> commands = new ArrayList<>();

  /** The collections that it has touched, each with the change of it that was the last one then. */
  private final Map<String, Long> seen = new HashMap<>();

  Transaction(Object number) {
    this.number = number;
  }

  /** Notes what a command touches. */
  void touch(Document command, Map<String, Long> changes) {
    String collection = Transaction.collectionOf(command);
    seen.putIfAbsent(collection, changes.getOrDefault(collection, 0L));
  }

  /** Whether others have changed what it touched. */
  boolean isOutdated(Map<String, Long> changes) {
    return seen.entrySet().stream()
        .anyMatch(each -> !each.getValue().equals(changes.getOrDefault(each.getKey(), 0L)));
  }

  static String collectionOf(Document command) {
    return command.get("$db") + "." + command.get(command.keySet().iterator().next());
  }
}
