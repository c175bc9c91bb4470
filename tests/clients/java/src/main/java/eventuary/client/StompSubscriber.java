package eventuary.client;

import io.vertx.core.Context;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.NetClient;
import io.vertx.ext.stomp.Frame;
import io.vertx.ext.stomp.StompClient;
import io.vertx.ext.stomp.StompClientConnection;
import io.vertx.ext.stomp.StompClientOptions;
import io.vertx.ext.stomp.impl.StompClientConnectionImpl;
import io.vertx.ext.stomp.utils.Headers;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Subscriptions as the Java client of Eventuate keeps them: one connection for all, made again
 * whenever it ends, with everything subscribed to again; events acknowledged in the order in which
 * they came.
 */
final class StompSubscriber {

  private static final int HEART_BEAT = 60_000;
  private static final int RETRY_AFTER = 1000;

  private final Vertx vertx;
  private final Context context;
  private final StompClientOptions options;
  private final String space;
  private final Consumer<JsonObject> note;
  private final List<Subscription> subscriptions = new ArrayList<>();
  private NetClient client;
  private StompClientConnection connection;
  private boolean closed;

  StompSubscriber(
      Vertx vertx,
      Context context,
      int port,
      String space,
      String id,
      String secret,
      Consumer<JsonObject> note) {
    this.vertx = vertx;
    this.context = context;
    this.space = space;
    this.note = note;
    this.options =
        new StompClientOptions()
            .setHost("127.0.0.1")
            .setPort(port)
            .setLogin(id)
            .setPasscode(secret)
            .setHeartbeat(new JsonObject().put("x", HEART_BEAT).put("y", HEART_BEAT));
  }

  /** Completes when the server has confirmed it. */
  CompletableFuture<JsonObject> subscribe(
      String subscriberId,
      JsonObject selection,
      JsonObject subscriberOptions,
      BiConsumer<JsonObject, Supplier<CompletableFuture<Integer>>> handler) {
    JsonObject destination =
        new JsonObject()
            .put("subscriberId", subscriberId)
            .put("space", space)
            .put("entityTypesAndEvents", selection);
    if (subscriberOptions != null) {
      destination.put("options", subscriberOptions);
    }
    Subscription subscription = new Subscription(destination.encode(), handler);
    context.runOnContext(
        ignored -> {
          subscriptions.add(subscription);
          if (connection != null) {
            subscription.send();
          } else if (client == null) {
            connect();
          }
        });
    return subscription.confirmed;
  }

  void close() {
    context.runOnContext(
        ignored -> {
          closed = true;
          client.close();
        });
  }

  /**
   * The published client does so too instead of {@code StompClient.connect}, which tells neither of
   * an ERROR that answers CONNECT nor of a connection that ends before it is one.
   */
  private void connect() {
    StompClient stomp = StompClient.create(vertx, options);
    client = vertx.createNetClient(options);
    client.connect(
        options.getPort(),
        options.getHost(),
        socket -> {
          if (socket.failed()) {
            note.accept(new JsonObject().put("error", socket.cause().toString()));
            vertx.setTimer(RETRY_AFTER, timer -> connect());
            return;
          }
          StompClientConnection made =
              new StompClientConnectionImpl(
                  vertx, socket.result(), stomp, connected -> connected(connected.result()));
          made.errorHandler(this::refused);
          made.closeHandler(gone -> disconnected());
          socket.result().write(connectFrame().toBuffer());
        });
  }

  private Frame connectFrame() {
    Headers headers =
        Headers.create()
            .add(Frame.ACCEPT_VERSION, String.join(",", options.getAcceptedVersions()))
            .add(Frame.HOST, options.getHost())
            .add(Frame.LOGIN, options.getLogin())
            .add(Frame.PASSCODE, options.getPasscode())
            .add(
                Frame.HEARTBEAT, Frame.Heartbeat.create(options.getHeartbeat()).toString());
    return new Frame(Frame.Command.CONNECT, headers, null);
  }

  /** Of a refused CONNECT the published client makes another at once, and so on for ever. */
  private void refused(Frame frame) {
    String message = frame.getHeader("message");
    if (connection == null) {
      System.err.println("refused: " + message);
      Runtime.getRuntime().halt(1);
    }
    note.accept(new JsonObject().put("error", message));
  }

  private void connected(StompClientConnection made) {
    connection = made;
    note.accept(new JsonObject().put("connected", true));
    subscriptions.forEach(Subscription::send);
  }

  /** Without a pause, whatever the reason. */
  private void disconnected() {
    note.accept(new JsonObject().put("disconnected", true));
    connection = null;
    if (!closed) {
      connect();
    }
  }

  private final class Subscription {
    private final String id = UUID.randomUUID().toString();
    private final String destination;
    private final BiConsumer<JsonObject, Supplier<CompletableFuture<Integer>>> handler;
    private final CompletableFuture<JsonObject> confirmed = new CompletableFuture<>();
    private AcknowledgementOrder order = new AcknowledgementOrder();

    Subscription(
        String destination, BiConsumer<JsonObject, Supplier<CompletableFuture<Integer>>> handler) {
      this.destination = destination;
      this.handler = handler;
    }

    void send() {
      Map<String, String> headers = new HashMap<>();
      headers.put(Frame.ID, id);
      connection.subscribe(
          destination,
          headers,
          this::received,
          receipt -> {
            order = new AcknowledgementOrder();
            confirmed.complete(new JsonObject());
          });
    }

    private void received(Frame frame) {
      String ack = frame.getAck();
      order.add(ack);
      handler.accept(new JsonObject(frame.getBodyAsString()), () -> finished(ack));
    }

    private CompletableFuture<Integer> finished(String ack) {
      CompletableFuture<Integer> sent = new CompletableFuture<>();
      context.runOnContext(
          ignored -> {
            List<String> headers = order.done(ack);
            headers.forEach(connection::ack);
            sent.complete(headers.size());
          });
      return sent;
    }
  }

  /** Lets an acknowledgement go only when all before it have gone. */
  private static final class AcknowledgementOrder {
    private final List<String> pending = new ArrayList<>();
    private final List<Boolean> done = new ArrayList<>();

    void add(String header) {
      pending.add(header);
      done.add(false);
    }

    /** The headers that may be acknowledged now; of a header that is not known, none. */
    List<String> done(String header) {
      int index = pending.indexOf(header);
      if (index < 0) {
        return List.of();
      }
      done.set(index, true);
      int count = done.contains(false) ? done.indexOf(false) : done.size();
      List<String> now = new ArrayList<>(pending.subList(0, count));
      pending.subList(0, count).clear();
      done.subList(0, count).clear();
      return now;
    }
  }
}
