package main

// REST as the Go client of Eventuate speaks it, over the library that it uses.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-resty/resty/v2"
)

// Event is an event to be stored.
type Event struct {
	EventType string `json:"eventType"`
	EventData string `json:"eventData"`
}

// Stored is an event as a find shows it.
type Stored struct {
	ID int128 `json:"id"`
	Event
}

// Created is the answer of a create or an update. All its ids are numbers of 128 bits.
type Created struct {
	EntityID      int128   `json:"entityId"`
	EntityVersion int128   `json:"entityVersion"`
	EventIDs      []int128 `json:"eventIds"`
}

// Found is the answer of a find.
type Found struct {
	Events []Stored `json:"events"`
}

// Refused is any answer but 200.
type Refused struct {
	Status int
	Code   string
}

func (refused *Refused) Error() string {
	return fmt.Sprintf("%d %s", refused.Status, refused.Code)
}

// Rest calls one server in one space.
type Rest struct {
	server *url.URL
	space  string
	http   *resty.Client
}

func newRest(server, space, id, secret string) *Rest {
	parsed, err := url.Parse(server)
	if err != nil {
		panic(err)
	}
	client := resty.New().
		SetDisableWarn(true).
		SetHeader("Content-Type", "application/json").
		SetBasicAuth(id, secret).
		AddRetryCondition(func(response *resty.Response, _ error) bool {
			status := response.StatusCode()
			return status == http.StatusServiceUnavailable || status == http.StatusRequestTimeout
		})
	return &Rest{parsed, space, client}
}

func (rest *Rest) create(entityType string, events []Event, entityID *int128) (*Created, error) {
	body := map[string]any{"entityTypeName": entityType, "events": events}
	if entityID != nil {
		body["entityId"] = *entityID
	}
	return answered[Created](rest.http.R().SetBody(body).Post(rest.at("/entity/%s", rest.space)))
}

func (rest *Rest) update(
	entityType string, entityID, version int128, events []Event, token string,
) (*Created, error) {
	body := map[string]any{"entityVersion": version, "events": events}
	if token != "" {
		body["triggeringEventToken"] = token
	}
	target := rest.at("/entity/%s/%s/%s", rest.space, entityType, entityID)
	return answered[Created](rest.http.R().SetBody(body).Post(target))
}

// The question mark is there even when nothing follows it.
func (rest *Rest) find(entityType string, entityID int128, token string) (*Found, error) {
	query := url.Values{}
	if token != "" {
		query.Set("triggeringEventToken", token)
	}
	target := rest.at("/entity/%s/%s/%s?%s", rest.space, entityType, entityID, query.Encode())
	return answered[Found](rest.http.R().Get(target))
}

func (rest *Rest) at(format string, parts ...any) string {
	target, err := rest.server.Parse(fmt.Sprintf(format, parts...))
	if err != nil {
		panic(err)
	}
	return target.String()
}

func answered[Answer any](response *resty.Response, err error) (*Answer, error) {
	if err != nil {
		panic(err)
	}
	if response.StatusCode() != http.StatusOK {
		var body struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(response.Body(), &body); err != nil {
			panic(err)
		}
		return nil, &Refused{response.StatusCode(), body.Error}
	}
	answer := new(Answer)
	if err := json.Unmarshal(response.Body(), answer); err != nil {
		panic(err)
	}
	return answer, nil
}
