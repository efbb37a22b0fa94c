package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// setDefaults gives the fields of a structure, and of the structures in it,
// their default values.
func setDefaults(target reflect.Value) {
	for i := range target.NumField() {
		field, tag := target.Field(i), target.Type().Field(i).Tag
		value, has := tag.Lookup("default")
		switch {
		case tag.Get("yaml") == "":
		case field.Kind() == reflect.Struct:
			setDefaults(field)
		case !has:
		case field.Type() == reflect.TypeFor[time.Duration]():
			duration, _ := time.ParseDuration(value)
			field.SetInt(int64(duration))
		case field.Kind() == reflect.Int:
			number, _ := strconv.ParseInt(value, 10, 64)
			field.SetInt(number)
		case field.Kind() == reflect.Bool:
			field.SetBool(value == "true")
		default:
			field.SetString(value)
		}
	}
}

// describe says what stands at a node, without its text where that may be long
// or secret.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return "the boolean " + n.Value
	case n.Tag == "!!str" && len(n.Value) <= 20 && strconv.CanBackquote(n.Value):
		return fmt.Sprintf("%q", n.Value)
	case n.Tag == "!!str":
		return "this text"
	case n.Tag == "!!timestamp":
		return "a date"
	}
	return "a value of type " + n.Tag
}

// instead tells the reader what to write for an unknown key.
func instead(key string, known []string) string {
	best, distance := "", 4
	if len(key) > 64 {
		known, key = nil, ""
	}
	for _, name := range known {
		if d := editDistance(strings.ToLower(key), name); d < distance && d < len(name) {
			best, distance = name, d
		}
		if strings.HasPrefix(name, key+"_") && best == "" {
			best = name
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	if known == nil {
		return "remove it"
	}
	return "known here: " + strings.Join(known, ", ")
}

// shown is a key as a message can print it on one line.
func shown(key string) string {
	if key == "" || len(key) > 64 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '.' }) {
		return strconv.QuoteToASCII(key[:min(len(key), 64)])
	}
	return key
}

// editDistance is the Levenshtein distance.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// validName reports whether a tenant or a policy may have this name. A policy's
// name stands in a path and in proxies' configurations, unescaped.
func validName(name string) bool {
	if name == "" || len(name) > 64 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
