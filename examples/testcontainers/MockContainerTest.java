// A mock in a container for tests with JUnit 5: org.testcontainers:junit-jupiter and org.testcontainers:testcontainers.
// Needs Docker, and the image: `docker build --tag aione-mock .` in the checkout.

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.junit.jupiter.api.Test;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.junit.jupiter.Container;
import org.testcontainers.junit.jupiter.Testcontainers;
import org.testcontainers.utility.DockerImageName;

@Testcontainers
class MockContainerTest {
    @Container
    static final GenericContainer<?> MOCK = new GenericContainer<>(DockerImageName.parse("aione-mock"))
            .withExposedPorts(8000)
            .withEnv("AIONE_MOCK_SEED", "7")
            .waitingFor(Wait.forHttp("/_mock/ready").forStatusCode(200));

    @Test
    void theApplicationAsksAModel() throws Exception {
        String url = "http://%s:%d/v1/chat/completions".formatted(MOCK.getHost(), MOCK.getMappedPort(8000));
        String body = """
                {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Reply with exactly: On its way."}]}""";
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .header("Authorization", "Bearer sk-nex-demo-every-model")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        assertEquals(200, answer.statusCode());
        assertTrue(answer.body().contains("On its way."));
    }
}
