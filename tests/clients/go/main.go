// Does what it is told on standard input, one JSON object a line, and answers on standard output:
// an answer to each command, in order, and an event whenever one comes. See client_process.py, which
// is the other end.
//
// Run as: client REST_URL STOMP_PORT SPACE KEY_ID KEY_SECRET
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

type command struct {
	Do            string              `json:"do"`
	EntityType    string              `json:"entityType"`
	EntityID      *int128             `json:"entityId"`
	EntityVersion int128              `json:"entityVersion"`
	Events        []Event             `json:"events"`
	Token         string              `json:"token"`
	SubscriberID  string              `json:"subscriberId"`
	Selection     map[string][]string `json:"selection"`
	Delivery      int                 `json:"delivery"`
}

type delivered struct {
	Received
	SubscriberID string `json:"subscriberId"`
	Delivery     int    `json:"delivery"`
}

type program struct {
	rest       *Rest
	subscriber *Subscriber
	connect    func() *Subscriber
	output     sync.Mutex
	finish     []func() int
}

func (program *program) say(message any) {
	program.output.Lock()
	defer program.output.Unlock()
	program.print(message)
}

func (program *program) print(message any) {
	line, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func (program *program) carryOut(told command) (any, error) {
	switch told.Do {
	case "create":
		return program.rest.create(told.EntityType, told.Events, told.EntityID)
	case "update":
		return program.rest.update(
			told.EntityType, *told.EntityID, told.EntityVersion, told.Events, told.Token)
	case "find":
		return program.rest.find(told.EntityType, *told.EntityID, told.Token)
	case "subscribe":
		if program.subscriber == nil {
			program.subscriber = program.connect()
		}
		program.subscriber.subscribe(told.SubscriberID, told.Selection,
			func(event Received, finish func() int) {
				program.output.Lock()
				defer program.output.Unlock()
				program.finish = append(program.finish, finish)
				number := len(program.finish) - 1
				program.print(map[string]any{
					"event": delivered{event, told.SubscriberID, number}})
			})
		return struct{}{}, nil
	case "finish":
		program.output.Lock()
		finish := program.finish[told.Delivery]
		program.output.Unlock()
		return map[string]int{"sent": finish()}, nil
	}
	panic("no such command: " + told.Do)
}

func main() {
	url, port, space, id, secret := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	program := &program{rest: newRest(url, space, id, secret), connect: func() *Subscriber {
		return newSubscriber("127.0.0.1:"+port, space, id, secret)
	}}
	input := bufio.NewReader(os.Stdin)
	decoder := json.NewDecoder(input)
	for decoder.More() {
		var told command
		if err := decoder.Decode(&told); err != nil {
			panic(err)
		}
		answer, err := program.carryOut(told)
		var refused *Refused
		if errors.As(err, &refused) {
			answer = map[string]any{"status": refused.Status, "error": refused.Code}
		}
		program.say(map[string]any{"answer": answer})
	}
}
