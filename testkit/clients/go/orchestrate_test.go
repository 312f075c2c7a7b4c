// A typed client as a service in Go would make it: stubs from the contract by protoc-gen-go and protoc-gen-go-grpc.
package clients

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "clients/orchestratorv1"
)

func connect(t *testing.T) pb.OrchestrateClient {
	t.Helper()
	connection, err := grpc.NewClient(os.Getenv("GATEWAY_GRPC"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return pb.NewOrchestrateClient(connection)
}

// trace is one request's id, and what the provider saw under it.
type trace string

func newTrace(t *testing.T) trace {
	return trace("go-" + strings.ReplaceAll(t.Name(), "/", "-") + "-" + time.Now().Format("150405.000000000"))
}

// told is a context with the caller's key, the request's id and more metadata.
func (id trace) told(ctx context.Context, more ...string) context.Context {
	pairs := append([]string{"authorization", "Bearer " + os.Getenv("GATEWAY_KEY"), "x-request-id", string(id)}, more...)
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

type seen struct {
	Closed bool
	Body   struct {
		Messages []struct {
			Role       string
			ToolCallID string `json:"tool_call_id"`
		}
	}
}

func (id trace) seen(t *testing.T) []seen {
	t.Helper()
	answer, err := http.Get(os.Getenv("PROVIDER_CONTROL") + "/seen?request_id=" + string(id))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all []seen
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// isOpen says whether the provider's connection is open.
func (id trace) isOpen(t *testing.T) bool {
	t.Helper()
	all := id.seen(t)
	return len(all) == 1 && !all[0].Closed
}

// closes waits until the provider's connection is closed: within a second from now.
func (id trace) closes(t *testing.T) {
	t.Helper()
	until(t, time.Second, func() bool { return id.seen(t)[0].Closed })
}

func until(t *testing.T, patience time.Duration, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v", patience)
		}
	}
}

func user(text string) *pb.Message {
	return &pb.Message{Role: pb.Role_ROLE_USER, Parts: []*pb.Part{{Kind: &pb.Part_Text{Text: text}}}}
}

func ask(model string) *pb.ChatRequest {
	return &pb.ChatRequest{Model: model, Messages: []*pb.Message{user("Hello")}}
}

func askWithTools() *pb.ChatRequest {
	request := ask("tools")
	schema := `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`
	request.Tools = []*pb.Tool{{Name: "get_weather", ParametersJson: schema}}
	return request
}

func city(t *testing.T, arguments string) string {
	t.Helper()
	var said struct{ City string }
	if err := json.Unmarshal([]byte(arguments), &said); err != nil {
		t.Fatalf("%q: %v", arguments, err)
	}
	return said.City
}

// equal fails the test unless both are the same.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, not %v", what, got, want)
	}
}

func checkUsage(t *testing.T, usage *pb.Usage) {
	t.Helper()
	equal(t, "prompt tokens", usage.GetPromptTokens(), 11)
	equal(t, "completion tokens", usage.GetCompletionTokens(), 7)
	equal(t, "source", usage.GetSource(), pb.UsageSource_USAGE_SOURCE_PROVIDER)
}

func TestChat(t *testing.T) {
	var initial metadata.MD
	id := newTrace(t)
	answer, err := connect(t).Chat(id.told(t.Context()), ask("chat"), grpc.Header(&initial))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "text", answer.Choices[0].Message.Parts[0].GetText(), "Hello! Grüße, 世界 👋")
	equal(t, "reason", answer.Choices[0].FinishReason, pb.FinishReason_FINISH_REASON_STOP)
	checkUsage(t, answer.Usage)
	equal(t, "provider", answer.Routing.Provider, "chat")
	equal(t, "request id", initial.Get("x-request-id")[0], string(id))
}

func TestChatWithToolsOverTwoTurns(t *testing.T) {
	client, id := connect(t), newTrace(t)
	first, err := client.Chat(newTrace(t).told(t.Context()), askWithTools())
	if err != nil {
		t.Fatal(err)
	}
	results := &pb.Message{Role: pb.Role_ROLE_TOOL}
	var cities []string
	for _, part := range first.Choices[0].Message.Parts {
		call := part.GetToolCall()
		cities = append(cities, city(t, call.ArgumentsJson))
		result := &pb.ToolResult{ToolCallId: call.Id, Parts: []*pb.Part{{Kind: &pb.Part_Text{Text: "21.5"}}}}
		results.Parts = append(results.Parts, &pb.Part{Kind: &pb.Part_ToolResult{ToolResult: result}})
	}
	equal(t, "cities", strings.Join(cities, " "), "Zürich Łódź")

	next := askWithTools()
	next.Messages = append(next.Messages, first.Choices[0].Message, results)
	second, err := client.Chat(id.told(t.Context()), next)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "text", second.Choices[0].Message.Parts[0].GetText(), "21.5 degrees.")
	said := id.seen(t)[0].Body.Messages
	equal(t, "second result", said[3].Role+" "+said[3].ToolCallID, "tool call_2")
}

func TestStreamChat(t *testing.T) {
	events := stream(t, connect(t), ask("chat"))
	equal(t, "provider", events[0].GetStarted().GetRouting().GetProvider(), "chat")
	text := ""
	for _, event := range events {
		text += event.GetText().GetText()
	}
	equal(t, "text", text, "Hello there")
	checkUsage(t, events[len(events)-1].GetFinished().GetUsage())
}

func TestStreamChatWithTools(t *testing.T) {
	var arguments [2]string
	for _, event := range stream(t, connect(t), askWithTools()) {
		if call := event.GetToolCall(); call != nil {
			arguments[call.Index] += call.ArgumentsJson
		}
	}
	equal(t, "first", city(t, arguments[0]), "Zürich")
	equal(t, "second", city(t, arguments[1]), "Łódź")
}

// stream asks and gives all events of an answer that ends well.
func stream(t *testing.T, client pb.OrchestrateClient, request *pb.ChatRequest) []*pb.ChatEvent {
	t.Helper()
	events, err := client.StreamChat(newTrace(t).told(t.Context()), request)
	if err != nil {
		t.Fatal(err)
	}
	var all []*pb.ChatEvent
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, event)
	}
}

func TestADeadlineIsAnsweredBeforeTheCallersPatienceEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	id := newTrace(t)
	_, err := connect(t).Chat(id.told(ctx, "x-orchestrator-timeout-ms", "300"), ask("silent"))
	equal(t, "code", status.Code(err), codes.DeadlineExceeded)
	equal(t, "reason", detail[*errdetails.ErrorInfo](t, err).Reason, "TIMEOUT")
	id.closes(t)
}

func TestTheClientsOwnDeadlineEndsTheCallAtTheProvider(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	id := newTrace(t)
	_, err := connect(t).Chat(id.told(ctx), ask("silent"))
	equal(t, "code", status.Code(err), codes.DeadlineExceeded)
	id.closes(t)
}

func TestACancelledChatReachesTheProviderWithinASecond(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client, id, failed := connect(t), newTrace(t), make(chan error)
	go func() {
		_, err := client.Chat(id.told(ctx), ask("silent"))
		failed <- err
	}()
	until(t, 5*time.Second, func() bool { return id.isOpen(t) })
	cancel()
	id.closes(t)
	equal(t, "code", status.Code(<-failed), codes.Canceled)
}

func TestACancelledStreamReachesTheProviderWithinASecond(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	id := newTrace(t)
	events, err := connect(t).StreamChat(id.told(ctx), ask("endless"))
	if err != nil {
		t.Fatal(err)
	}
	for text := ""; text == ""; {
		event, err := events.Recv()
		if err != nil {
			t.Fatal(err)
		}
		text = event.GetText().GetText()
	}
	equal(t, "open", id.isOpen(t), true)
	cancel()
	id.closes(t)
}

func TestErrorsAreRich(t *testing.T) {
	client := connect(t)

	_, err := client.Chat(t.Context(), ask("chat"))
	equal(t, "code without a key", status.Code(err), codes.Unauthenticated)

	nameless := ask("chat")
	nameless.Messages[0].Role = pb.Role_ROLE_UNSPECIFIED
	_, err = client.Chat(newTrace(t).told(t.Context()), nameless)
	equal(t, "code", status.Code(err), codes.InvalidArgument)
	equal(t, "field", detail[*errdetails.BadRequest](t, err).FieldViolations[0].Field, "messages[0].role")

	_, err = client.Chat(newTrace(t).told(t.Context()), ask("rate-limited"))
	equal(t, "code", status.Code(err), codes.ResourceExhausted)
	info := detail[*errdetails.ErrorInfo](t, err)
	equal(t, "reason", info.Domain+" "+info.Reason, "orchestrator.v1 RATE_LIMITED")
	equal(t, "upstream status", info.Metadata["upstream_status"], "429")
	// The provider said 20 seconds.
	if delay := detail[*errdetails.RetryInfo](t, err).RetryDelay.AsDuration(); delay < 15*time.Second || delay > 20*time.Second {
		t.Fatalf("retry after %v", delay)
	}

	events, err := client.StreamChat(newTrace(t).told(t.Context()), ask("breaks-off"))
	for err == nil {
		_, err = events.Recv()
	}
	equal(t, "code", status.Code(err), codes.Unavailable)
	equal(t, "reason", detail[*errdetails.ErrorInfo](t, err).Reason, "PROVIDER_FAILED")
}

// detail is the error's detail of that type.
func detail[T any](t *testing.T, err error) T {
	t.Helper()
	for _, any := range status.Convert(err).Details() {
		if wanted, ok := any.(T); ok {
			return wanted
		}
	}
	t.Fatalf("%v has no such detail", err)
	panic("unreachable")
}
