package eventuary.client;

import io.vertx.core.Context;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/**
 * Does what it is told on standard input, one JSON object a line, and answers on standard output:
 * {@code answer} to each command, in order, and {@code event} or {@code note} whenever something
 * comes. See client_process.py, which is the other end.
 *
 * <p>Arguments: REST_URL STOMP_PORT SPACE KEY_ID KEY_SECRET
 */
public final class Program {

  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private final List<Supplier<CompletableFuture<Integer>>> deliveries = new ArrayList<>();
  private final RestClient rest;
  private final StompSubscriber subscriber;

  private Program(String[] arguments) {
    Vertx vertx = Vertx.vertx(new VertxOptions().setEventLoopPoolSize(1));
    Context context = vertx.getOrCreateContext();
    String space = arguments[2];
    String id = arguments[3];
    String secret = arguments[4];
    rest = new RestClient(vertx, context, URI.create(arguments[0]), space, id, secret);
    subscriber =
        new StompSubscriber(
            vertx,
            context,
            Integer.parseInt(arguments[1]),
            space,
            id,
            secret,
            note -> say("note", note));
  }

  public static void main(String[] arguments) throws Exception {
    Logger.getLogger("").addHandler(new EndWithFirstError());
    Program program = new Program(arguments);
    BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      say("answer", program.answer(new JsonObject(line)));
    }
    System.exit(0);
  }

  /** Vert.x only logs what its handlers throw. Nothing is to go wrong unseen here. */
  private static final class EndWithFirstError extends Handler {
    @Override
    public void publish(LogRecord record) {
      if (record.getLevel().intValue() >= Level.SEVERE.intValue()) {
        System.err.println(record.getMessage());
        if (record.getThrown() != null) {
          record.getThrown().printStackTrace();
        }
        Runtime.getRuntime().halt(1);
      }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }

  private JsonObject answer(JsonObject command) {
    try {
      return carryOut(command).join();
    } catch (CompletionException error) {
      if (!(error.getCause() instanceof RestClient.Refused)) {
        throw error;
      }
      RestClient.Refused refused = (RestClient.Refused) error.getCause();
      return new JsonObject().put("status", refused.status).put("error", refused.code);
    }
  }

  private CompletableFuture<JsonObject> carryOut(JsonObject command) {
    String entityType = command.getString("entityType");
    String entityId = command.getString("entityId");
    String token = command.getString("token");
    switch (command.getString("do")) {
      case "create":
        return rest.create(entityType, command.getJsonArray("events"), entityId);
      case "update":
        return rest.update(
            entityType,
            entityId,
            command.getString("entityVersion"),
            command.getJsonArray("events"),
            token);
      case "find":
        return rest.find(entityType, entityId, token);
      case "subscribe":
        String subscriberId = command.getString("subscriberId");
        return subscriber.subscribe(
            subscriberId,
            command.getJsonObject("selection"),
            command.getJsonObject("options"),
            (event, finish) -> delivered(subscriberId, event, finish));
      case "finish":
        return deliver(command.getInteger("delivery"))
            .get()
            .thenApply(sent -> new JsonObject().put("sent", sent));
      case "close":
        subscriber.close();
        return CompletableFuture.completedFuture(new JsonObject());
      default:
        throw new IllegalArgumentException("no such command: " + command);
    }
  }

  private void delivered(
      String subscriberId, JsonObject event, Supplier<CompletableFuture<Integer>> finish) {
    synchronized (deliveries) {
      deliveries.add(finish);
      event.put("delivery", deliveries.size() - 1).put("subscriberId", subscriberId);
    }
    say("event", event);
  }

  private Supplier<CompletableFuture<Integer>> deliver(int number) {
    synchronized (deliveries) {
      return deliveries.get(number);
    }
  }

  private static void say(String name, JsonObject message) {
    OUT.println(new JsonObject().put(name, message).encode());
  }
}
