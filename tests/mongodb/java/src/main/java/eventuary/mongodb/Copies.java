package eventuary.mongodb;

import de.bwaldvogel.mongo.bson.Document;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** Collections as they were, to put them back. */
final class Copies {

  private final UnaryOperator<Document> carryOut;
  private final Map<String, Document> insertions = new LinkedHashMap<>();

  Copies(UnaryOperator<Document> carryOut) {
    this.carryOut = carryOut;
  }

  /** Copies the collection that a command changes, unless that was done. */
  void keep(Document write) {
    insertions.computeIfAbsent(
        Transaction.collectionOf(write),
        name -> {
          Object collection = write.get(write.keySet().iterator().next());
          Document find = new Document("find", collection).append("batchSize", Integer.MAX_VALUE);
          Document answer = carryOut.apply(find.append("$db", write.get("$db")));
          Document insert = new Document("insert", collection);
          insert.append("documents", ((Document) answer.get("cursor")).get("firstBatch"));
          // By way of its encoded form: documents in memory change.
          return Journal.decoded(Journal.encoded(insert.append("$db", write.get("$db"))));
        });
  }

  /** Lets all collections be as they were. */
  void putBack() {
    for (Document insert : insertions.values()) {
      Document all = new Document("q", new Document()).append("limit", 0);
      Document delete = new Document("delete", insert.get("insert"));
      carryOut.apply(delete.append("deletes", List.of(all)).append("$db", insert.get("$db")));
      if (!((List<?>) insert.get("documents")).isEmpty()) {
        carryOut.apply(insert);
      }
    }
  }
}
