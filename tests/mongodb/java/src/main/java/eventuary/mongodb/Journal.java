package eventuary.mongodb;

import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.bson.BsonDecoder;
import de.bwaldvogel.mongo.wire.bson.BsonEncoder;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.function.Consumer;

/**
 * The commands that have changed something, one behind the other. A record is written at once and
 * read as a whole or not at all. It survives the end of the process, not of the machine.
 */
final class Journal {

  private final FileChannel file;

  Journal(Path path) throws IOException {
    file =
        FileChannel.open(
            path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
  }

  /** Hands over all that is there, and forgets what a kill has left half written. */
  void replay(Consumer<Document> command) throws IOException {
    ByteBuffer all = ByteBuffer.allocate(Math.toIntExact(file.size()));
    while (all.hasRemaining() && file.read(all) >= 0) {}
    all.flip();
    int complete = 0;
    while (all.remaining() >= Integer.BYTES) {
      int length = all.getInt();
      if (length > all.remaining()) {
        break;
      }
      ByteBuf record = Unpooled.wrappedBuffer(all.slice(all.position(), length));
      while (record.isReadable()) {
        command.accept(decoded(record));
      }
      all.position(all.position() + length);
      complete = all.position();
    }
    file.truncate(complete);
    file.position(complete);
  }

  /** Adds commands, in one record. */
  void append(List<ByteBuf> commands) {
    ByteBuf record = Unpooled.wrappedBuffer(commands.toArray(new ByteBuf[0]));
    ByteBuf length = Unpooled.buffer(Integer.BYTES).writeInt(record.readableBytes());
    ByteBuffer bytes = Unpooled.wrappedBuffer(length, record).nioBuffer();
    try {
      while (bytes.hasRemaining()) {
        file.write(bytes);
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** As it is written; a command that is carried out does not stay what it was. */
  static ByteBuf encoded(Document command) {
    ByteBuf buffer = Unpooled.buffer();
    BsonEncoder.encodeDocument(command, buffer);
    return buffer;
  }

  static Document decoded(ByteBuf command) {
    return BsonDecoder.decodeBson(command);
  }
}
