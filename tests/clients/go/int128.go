package main

// Ids as the Go client of Eventuate keeps them: two 64-bit numbers, written as 16 hex digits each.

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

type int128 [2]uint64

func parseInt128(text string) (int128, error) {
	high, low, found := strings.Cut(text, "-")
	if !found {
		return int128{}, fmt.Errorf("%q is not two numbers with a hyphen between", text)
	}
	var id int128
	for index, part := range []string{high, low} {
		number, err := strconv.ParseUint(part, 16, 64)
		if err != nil {
			return int128{}, fmt.Errorf("%q is not an id: %w", text, err)
		}
		id[index] = number
	}
	return id, nil
}

func (id int128) String() string {
	return fmt.Sprintf("%016x-%016x", id[0], id[1])
}

// MarshalJSON writes the id as a string.
func (id int128) MarshalJSON() ([]byte, error) {
	return json.Marshal(id.String())
}

// UnmarshalJSON reads an id from a string.
func (id *int128) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := parseInt128(text)
	*id = parsed
	return err
}
