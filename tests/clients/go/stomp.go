package main

// The STOMP library that the Go client of Eventuate uses (stompngo) is not served by the module
// proxy. This does on the wire what it does, as far as a server can see it:
//   - every frame has a content-length, also of nothing, behind the headers that it was given;
//   - headers are escaped but in CONNECT, and the last byte of a frame goes out by itself;
//   - a command that it does not know, a header without a colon, or a MESSAGE without a
//     subscription ends the program; so does a CONNECTED with a body;
//   - a content-length of 0 means: up to the NUL.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

type header struct{ name, value string }

type frame struct {
	command string
	headers []header
	body    []byte
}

func (frame *frame) value(name string) (string, bool) {
	for _, each := range frame.headers {
		if each.name == name {
			return each.value, true
		}
	}
	return "", false
}

type connection struct {
	socket net.Conn
	reader *bufio.Reader
}

// One after the other, in this order, as the library does: what a server sends must survive it.
var escapes = []struct{ plain, escaped string }{
	{"\\", "\\\\"}, {"\n", "\\n"}, {":", "\\c"},
}

func escape(text string) string {
	for _, each := range escapes {
		text = strings.ReplaceAll(text, each.plain, each.escaped)
	}
	return text
}

func unescape(text string) string {
	for _, each := range escapes {
		text = strings.ReplaceAll(text, each.escaped, each.plain)
	}
	return text
}

func connect(address, id, secret string) *connection {
	socket, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	host, _, _ := strings.Cut(address, ":")
	stomp := &connection{socket, bufio.NewReader(socket)}
	stomp.write(frame{"CONNECT", []header{
		{"accept-version", "1.2"},
		{"host", host},
		{"login", id},
		{"passcode", secret},
		{"heart-beat", "0,10000"},
	}, nil})
	connected := stomp.read()
	if version, _ := connected.value("version"); connected.command != "CONNECTED" ||
		version != "1.2" || len(connected.body) > 0 {
		panic(fmt.Sprintf("not connected: %+v", connected))
	}
	return stomp
}

func (stomp *connection) write(outgoing frame) {
	lines := outgoing.command + "\n"
	headers := append(outgoing.headers,
		header{"content-length", strconv.Itoa(len(outgoing.body))})
	for _, each := range headers {
		if outgoing.command != "CONNECT" {
			each = header{escape(each.name), escape(each.value)}
		}
		lines += each.name + ":" + each.value + "\n"
	}
	for _, part := range [][]byte{append([]byte(lines+"\n"), outgoing.body...), {0}} {
		if _, err := stomp.socket.Write(part); err != nil {
			panic(err)
		}
	}
}

func (stomp *connection) read() frame {
	incoming := frame{command: stomp.line()}
	for incoming.command == "" {
		incoming.command = stomp.line() // a heart-beat
	}
	switch incoming.command {
	case "CONNECTED", "MESSAGE", "RECEIPT", "ERROR":
	default:
		panic(fmt.Sprintf("%q is no command of a server", incoming.command))
	}
	for {
		line := stomp.line()
		if line == "" {
			break
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			panic(fmt.Sprintf("the header %q has no colon", line))
		}
		if incoming.command != "CONNECTED" {
			name, value = unescape(name), unescape(value)
		}
		incoming.headers = append(incoming.headers, header{name, value})
	}
	incoming.body = stomp.body(incoming)
	return incoming
}

func (stomp *connection) body(incoming frame) []byte {
	text, found := incoming.value("content-length")
	length := 0
	if found {
		var err error
		if length, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
			panic(err)
		}
	}
	if length == 0 {
		body, err := stomp.reader.ReadBytes(0)
		if err != nil {
			panic(err)
		}
		return body[:len(body)-1]
	}
	body := make([]byte, length+1)
	if _, err := io.ReadFull(stomp.reader, body); err != nil {
		panic(err)
	}
	return body[:length]
}

func (stomp *connection) line() string {
	line, err := stomp.reader.ReadString('\n')
	if err != nil {
		panic(err)
	}
	return line[:len(line)-1]
}
