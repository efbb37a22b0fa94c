package main

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// What nobody can go below: the signature, over a token that is taken apart
// already.

var errFloor = errors.New("the signature does not verify")

// floorRSA is the digest and the signature, and nothing else.
func floorRSA(key *rsa.PublicKey, token string) func() error {
	signed, _, signature := takeApart(token)
	return func() error {
		sum := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	}
}

// floorHMAC is the same for HS256.
func floorHMAC(token string) func() error {
	signed, _, signature := takeApart(token)
	return func() error {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(signed)
		if !hmac.Equal(mac.Sum(nil), signature) {
			return errFloor
		}
		return nil
	}
}

// withDecode adds what every verifier has to do besides: the payload out of
// base64url and, strictly, into a struct.
func withDecode(floor func() error, token string) func() error {
	_, payload, _ := takeApart(token)
	return func() error {
		if err := floor(); err != nil {
			return err
		}
		text, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			return err
		}
		var claims idToken
		return jsonv2.Unmarshal(text, &claims)
	}
}

func takeApart(token string) (signed []byte, payload string, signature []byte) {
	last := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	check(err)
	_, payload, _ = strings.Cut(token[:last], ".")
	return []byte(token[:last]), payload, signature
}
