package eventuary.mongodb;

import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.backend.memory.index.MemoryUniqueIndex;
import de.bwaldvogel.mongo.bson.Document;
import java.util.List;

/**
 * A database in memory whose unique indexes serve also queries that ask for more than their keys:
 * the backend's own serve no others, and so it looks at every document for {_id, revision}.
 */
final class Storage extends MemoryDatabase {

  Storage(String name, CursorRegistry cursors) {
    super(name, cursors);
  }

  @Override
  protected Index<Integer> openOrCreateUniqueIndex(
      String collection, String name, List<IndexKey> keys, boolean sparse) {
    return new Unique(name, keys, sparse);
  }

  /** What it finds is compared with the whole of the query by whoever asks it. */
  private static final class Unique extends MemoryUniqueIndex {

    Unique(String name, List<IndexKey> keys, boolean sparse) {
      super(name, keys, sparse);
    }

    @Override
    public synchronized boolean canHandle(Document query) {
      return query.keySet().containsAll(keySet()) && super.canHandle(keysOf(query));
    }

    @Override
    public synchronized Iterable<Integer> getPositions(Document query) {
      return super.getPositions(keysOf(query));
    }

    private Document keysOf(Document query) {
      Document keys = new Document();
      for (String key : keys()) {
        keys.put(key, query.get(key));
      }
      return keys;
    }
  }
}
