package k3s

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// token is what a node shows to join: K10<sha256 of the authority>::<user>:<secret> as k3s writes it, or the secret alone.
type token struct{ hash, secret string }

func parseToken(text string) token {
	if rest, full := strings.CutPrefix(text, "K10"); full {
		if hash, credentials, ok := strings.Cut(rest, "::"); ok {
			if _, secret, ok := strings.Cut(credentials, ":"); ok {
				return token{hash, secret}
			}
			return token{hash, credentials}
		}
	}
	return token{"", text}
}

func (t token) String() string { return fmt.Sprintf("K10%s::server:%s", t.hash, t.secret) }

// trusts tells whether an authority is the one the token is about; a short token trusts what it meets, as in k3s.
func (t token) trusts(authority []byte) bool { return t.hash == "" || t.hash == hash(authority) }

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// serverToken settles the cluster's token: the one given, or the one there is, or a new one. It is written in full to
// server/token and server/node-token, 0600.
func serverToken(folder, given string, authority []byte) (token, error) {
	file := filepath.Join(folder, "token")
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return token{}, err
	}
	old := parseToken(strings.TrimSpace(string(before)))
	made := token{hash(authority), parseToken(given).secret}
	switch {
	case made.secret == "" && old.secret == "":
		made.secret = random()
	case made.secret == "":
		made.secret = old.secret
	case old.secret != "" && old.secret != made.secret:
		return token{}, errors.New("the token differs from the one this cluster was made with (server/token): change it back, or start anew in an empty data-dir")
	}
	for _, name := range []string{"token", "node-token"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(made.String()+"\n"), 0o600); err != nil {
			return token{}, err
		}
	}
	return made, nil
}

func random() string {
	content := make([]byte, 16)
	_, _ = rand.Read(content) // never fails (crypto/rand)
	return hex.EncodeToString(content)
}
