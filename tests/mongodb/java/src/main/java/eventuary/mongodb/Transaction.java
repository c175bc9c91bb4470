package eventuary.mongodb;

import de.bwaldvogel.mongo.bson.Document;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** What an open transaction has done, and what undoes it: the collections as they were. */
final class Transaction {

  final Object session;
  final Object number;
  final List<ByteBuf> commands = new ArrayList<>();

  /** The connection that it was heard of last: when that ends, it does. */
  Channel channel;

  private final Map<String, Document> before = new LinkedHashMap<>();

  Transaction(Object session, Object number) {
    this.session = session;
    this.number = number;
  }

  /** Keeps a collection as it is before the first write of the transaction in it. */
  void keep(Document write, UnaryOperator<Document> carryOut) {
    String database = (String) write.get("$db");
    String collection = (String) write.get(write.keySet().iterator().next());
    before.computeIfAbsent(
        database + "." + collection,
        name -> {
          Document find = new Document("find", collection).append("batchSize", Integer.MAX_VALUE);
          Document answer = carryOut.apply(find.append("$db", database));
          Document insert = new Document("insert", collection);
          insert.put("documents", ((Document) answer.get("cursor")).get("firstBatch"));
          // By way of its encoded form: documents in memory change.
          return Journal.decoded(Journal.encoded(insert.append("$db", database)));
        });
  }

  /** Lets all collections be as they were. */
  void undo(UnaryOperator<Document> carryOut) {
    for (Document insert : before.values()) {
      Document all = new Document("q", new Document()).append("limit", 0);
      Document delete = new Document("delete", insert.get("insert"));
      delete.append("deletes", List.of(all)).append("$db", insert.get("$db"));
      carryOut.apply(delete);
      if (!((List<?>) insert.get("documents")).isEmpty()) {
        carryOut.apply(insert);
      }
    }
  }
}
