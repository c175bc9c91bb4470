package main

// Subscriptions as the Go client of Eventuate keeps them: a subscription is known by its id, events
// are acknowledged in the order in which they came, and a connection that ends is not made again.

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
)

// Received is an event as a MESSAGE brings it. An entity id is a number of 128 bits here.
type Received struct {
	ID         int128 `json:"id"`
	EventType  string `json:"eventType"`
	EventData  string `json:"eventData"`
	EntityID   int128 `json:"entityId"`
	EntityType string `json:"entityType"`
	EventToken string `json:"eventToken"`
	Swimlane   int    `json:"swimlane"`
	Offset     int    `json:"offset"`
}

type pending struct {
	event    int128
	header   string
	finished bool
}

type subscription struct {
	subscriberID string
	pending      []*pending
	handle       func(event Received, finish func() int)
}

// Subscriber has one connection for all its subscriptions.
type Subscriber struct {
	mutex         sync.Mutex
	stomp         *connection
	space         string
	subscriptions map[string]*subscription
}

func newSubscriber(address, space, id, secret string) *Subscriber {
	subscriber := &Subscriber{
		stomp: connect(address, id, secret), space: space,
		subscriptions: map[string]*subscription{},
	}
	go subscriber.receive()
	return subscriber
}

// No receipt is asked for.
func (subscriber *Subscriber) subscribe(
	subscriberID string, selection map[string][]string, handle func(Received, func() int),
) {
	destination, err := json.Marshal(struct {
		EntityTypesAndEvents map[string][]string `json:"entityTypesAndEvents"`
		SubscriberID         string              `json:"subscriberId"`
		Space                string              `json:"space"`
	}{selection, subscriberID, subscriber.space})
	if err != nil {
		panic(err)
	}
	unique := make([]byte, 16)
	if _, err := rand.Read(unique); err != nil {
		panic(err)
	}
	id := fmt.Sprintf("subscription-id-%x", unique)
	subscriber.mutex.Lock()
	defer subscriber.mutex.Unlock()
	subscriber.subscriptions[id] = &subscription{subscriberID: subscriberID, handle: handle}
	subscriber.stomp.write(frame{"SUBSCRIBE", []header{
		{"id", id},
		{"destination", string(destination)},
		{"ack", "client-individual"},
	}, nil})
}

func (subscriber *Subscriber) receive() {
	for {
		message := subscriber.stomp.read()
		if message.command != "MESSAGE" {
			panic(fmt.Sprintf("not a MESSAGE: %+v", message))
		}
		id, found := message.value("subscription")
		if !found {
			panic("a MESSAGE without a subscription")
		}
		var event Received
		if err := json.Unmarshal(message.body, &event); err != nil {
			panic(err)
		}
		ack, _ := message.value("ack")
		subscriber.mutex.Lock()
		to, found := subscriber.subscriptions[id]
		if !found {
			panic("a MESSAGE for a subscription that was not made: " + id)
		}
		entry := &pending{event: event.ID, header: ack}
		to.pending = append(to.pending, entry)
		subscriber.mutex.Unlock()
		to.handle(event, func() int { return subscriber.finished(to, entry.event) })
	}
}

// Acknowledges what may be acknowledged now, and returns how many that are.
func (subscriber *Subscriber) finished(to *subscription, event int128) int {
	subscriber.mutex.Lock()
	defer subscriber.mutex.Unlock()
	for _, each := range to.pending {
		if each.event == event {
			each.finished = true
			break
		}
	}
	sent := 0
	for len(to.pending) > 0 && to.pending[0].finished {
		subscriber.stomp.write(frame{"ACK", []header{{"id", to.pending[0].header}}, nil})
		to.pending = to.pending[1:]
		sent++
	}
	return sent
}
