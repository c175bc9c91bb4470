package eventuary.client;

import io.vertx.core.Context;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.net.URI;
import java.util.Base64;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/** REST as the Java client of Eventuate speaks it: the same paths, headers and bodies. */
final class RestClient {

  private static final int RETRY_AFTER = 1000;

  private final Vertx vertx;
  private final Context context;
  private final HttpClient http;
  private final String authorization;
  private final String path;

  RestClient(Vertx vertx, Context context, URI server, String space, String id, String secret) {
    this.vertx = vertx;
    this.context = context;
    this.http =
        vertx.createHttpClient(
            new HttpClientOptions()
                .setDefaultHost(server.getHost())
                .setDefaultPort(server.getPort())
                .setKeepAlive(true));
    this.authorization =
        "Basic " + Base64.getEncoder().encodeToString((id + ":" + secret).getBytes());
    this.path = "/entity/" + space;
  }

  CompletableFuture<JsonObject> create(String entityType, JsonArray events, String entityId) {
    JsonObject body = new JsonObject().put("entityTypeName", entityType).put("events", events);
    if (entityId != null) {
      body.put("entityId", entityId);
    }
    return retrying(() -> post(path, body));
  }

  CompletableFuture<JsonObject> update(
      String entityType, String entityId, String version, JsonArray events, String token) {
    JsonObject body = new JsonObject().put("events", events).put("entityVersion", version);
    if (token != null) {
      body.put("triggeringEventToken", token);
    }
    return retrying(() -> post(path + "/" + entityType + "/" + entityId, body));
  }

  /** The token goes into the query string as it is. */
  CompletableFuture<JsonObject> find(String entityType, String entityId, String token) {
    String query = token == null ? "" : "?triggeringEventToken=" + token;
    return retrying(
        () ->
            call(
                () ->
                    http.get(path + "/" + entityType + "/" + entityId + query)
                        .putHeader("authorization", authorization)
                        .putHeader("accept", "application/json"),
                null));
  }

  private CompletableFuture<JsonObject> post(String path, JsonObject body) {
    return call(
        () ->
            http.post(path)
                .putHeader("authorization", authorization)
                .putHeader("content-type", "application/json"),
        Buffer.buffer(body.encode()));
  }

  private CompletableFuture<JsonObject> call(Supplier<HttpClientRequest> request, Buffer body) {
    CompletableFuture<JsonObject> outcome = new CompletableFuture<>();
    context.runOnContext(
        ignored -> {
          HttpClientRequest made =
              request
                  .get()
                  .handler(response -> answered(response, outcome))
                  .exceptionHandler(outcome::completeExceptionally);
          if (body == null) {
            made.end();
          } else {
            made.end(body);
          }
        });
    return outcome;
  }

  /** Only the body of a 409 is read. */
  private static void answered(
      HttpClientResponse response, CompletableFuture<JsonObject> outcome) {
    int status = response.statusCode();
    if (status == 200) {
      response.bodyHandler(body -> outcome.complete(new JsonObject(body.toString())));
    } else if (status == 409) {
      response.bodyHandler(
          body -> {
            String code = new JsonObject(body.toString()).getString("error");
            outcome.completeExceptionally(new Refused(status, code));
          });
    } else {
      outcome.completeExceptionally(new Refused(status, null));
    }
  }

  private CompletableFuture<JsonObject> retrying(
      Supplier<CompletableFuture<JsonObject>> operation) {
    CompletableFuture<JsonObject> outcome = new CompletableFuture<>();
    attempt(operation, outcome);
    return outcome;
  }

  private void attempt(
      Supplier<CompletableFuture<JsonObject>> operation, CompletableFuture<JsonObject> outcome) {
    operation
        .get()
        .whenComplete(
            (answer, error) -> {
              if (error == null) {
                outcome.complete(answer);
              } else if (error instanceof Refused && ((Refused) error).status == 503) {
                vertx.setTimer(RETRY_AFTER, timer -> attempt(operation, outcome));
              } else {
                outcome.completeExceptionally(error);
              }
            });
  }

  /** Any answer but 200. */
  static final class Refused extends RuntimeException {
    final int status;
    final String code;

    Refused(int status, String code) {
      super(status + " " + code);
      this.status = status;
      this.code = code;
    }
  }
}
