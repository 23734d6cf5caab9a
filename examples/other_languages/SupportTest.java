// aione-mock run -- java SupportTest.java
// With JUnit, openSession belongs into @BeforeEach and closing it into @AfterEach.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class SupportTest {
    static final String ROOT = System.getenv("AIONE_BASE_URL");
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static String send(String method, String url, String body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url))
            .header("Content-Type", "application/json")
            .method(method, HttpRequest.BodyPublishers.ofString(body));
        if (url.contains("/v1/")) request.header("Authorization", "Bearer " + System.getenv("AIONE_API_KEY"));
        var answer = CLIENT.send(request.build(), BodyHandlers.ofString());
        if (answer.statusCode() >= 300) throw new AssertionError(method + " " + url + ": " + answer.body());
        return answer.body();
    }

    static String openSession(String name) throws Exception {
        send("POST", ROOT + "/_mock/sessions", "{\"name\": \"" + name + "\", \"frozen\": true}");
        return ROOT + "/_session/" + name;
    }

    public static void main(String[] arguments) throws Exception {
        var url = openSession("refund");
        send("POST", url + "/_mock/rules", """
            {"when": {"text": "refund"}, "then": {"reply": {"text": "Five days."}, "times": 1}}""");
        var answer = send("POST", url + "/v1/chat/completions", """
            {"model": "gpt-5.4", "messages": [{"role": "user", "content": "How long does a refund take?"}]}""");
        if (!answer.contains("Five days.")) throw new AssertionError(answer);
        send("DELETE", ROOT + "/_mock/sessions/refund", "");
    }
}
