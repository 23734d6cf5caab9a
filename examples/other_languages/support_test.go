// aione-mock run -- go test support_test.go

package support

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// send calls the mock and reads its JSON into `answer`, unless that is nil.
func send(t *testing.T, method, url string, body, answer any) {
	t.Helper()
	data, _ := json.Marshal(body)
	request, _ := http.NewRequest(method, url, bytes.NewReader(data))
	request.Header.Set("Content-Type", "application/json")
	if strings.Contains(url, "/v1/") {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("AIONE_API_KEY"))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, url, response.Status, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// openSession returns the root of a session that ends with the test.
func openSession(t *testing.T) string {
	t.Helper()
	sessions := os.Getenv("AIONE_BASE_URL") + "/_mock/sessions"
	var session struct {
		URL string `json:"base_url"`
	}
	send(t, "POST", sessions, map[string]any{"name": t.Name(), "frozen": true}, &session)
	t.Cleanup(func() { send(t, "DELETE", sessions+"/"+t.Name(), map[string]any{}, nil) })
	return session.URL
}

func TestRefund(t *testing.T) {
	url := openSession(t)
	send(t, "POST", url+"/_mock/rules", map[string]any{
		"when": map[string]any{"text": "refund"},
		"then": map[string]any{"reply": map[string]any{"text": "Five days."}, "times": 1},
	}, nil)
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	send(t, "POST", url+"/v1/chat/completions", map[string]any{
		"model":    "gpt-5.4",
		"messages": []any{map[string]any{"role": "user", "content": "How long does a refund take?"}},
	}, &answer)
	if said := answer.Choices[0].Message.Content; said != "Five days." {
		t.Fatalf("the model said %q", said)
	}
}
