package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// message is what is signed: method, path with query, time and the digest of the body, a line each.
func message(method, pathAndQuery, at string, body []byte) string {
	digest := sha256.Sum256(body)
	return strings.Join([]string{method, pathAndQuery, at, hex.EncodeToString(digest[:])}, "\n")
}

// verify says whether a signature, in hexadecimal digits, is that of the message.
func verify(secret, message, signature string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	code := hmac.New(sha256.New, []byte(secret))
	code.Write([]byte(message))
	return hmac.Equal(code.Sum(nil), given)
}

func parseTime(text string) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0), err
}
