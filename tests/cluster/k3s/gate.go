package k3s

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// gate listens on port 6443. Whoever asks for joinHost in the TLS greeting gets the registrar; every other connection is passed
// on as it is to the API server, which keeps checking its clients' certificates itself.
type gate struct {
	listener net.Listener
	inner    string
	joining  chan net.Conn
}

func openGate(address, inner string) (*gate, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &gate{listener, inner, make(chan net.Conn)}, nil
}

// serve answers until the listener is closed.
func (g *gate) serve(handler http.Handler, certificate tls.Certificate) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_ = server.Serve(tls.NewListener(g, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	for {
		connection, err := g.listener.Accept()
		if err != nil {
			return
		}
		go g.sort(connection)
	}
}

func (g *gate) sort(connection net.Conn) {
	_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
	name, greeting, err := peek(connection)
	_ = connection.SetReadDeadline(time.Time{})
	if err != nil {
		connection.Close()
		return
	}
	again := &replayed{connection, io.MultiReader(bytes.NewReader(greeting), connection)}
	if name == joinHost {
		g.joining <- again
		return
	}
	inner, err := net.Dial("tcp", g.inner)
	if err != nil {
		connection.Close()
		return
	}
	go pipe(inner, again, connection)
	pipe(connection, inner, inner)
}

// pipe copies one direction; its end ends both.
func pipe(to net.Conn, from io.Reader, source net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	source.Close()
}

var errPeeked = errors.New("seen enough")

// peek reads the TLS greeting: the name asked for, and the bytes read.
func peek(connection net.Conn) (string, []byte, error) {
	var name string
	var read bytes.Buffer
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name = hello.ServerName
		return nil, errPeeked
	}}
	err := tls.Server(&replayed{silent{connection}, io.TeeReader(connection, &read)}, config).Handshake()
	if errors.Is(err, errPeeked) {
		return name, read.Bytes(), nil
	}
	return "", nil, err
}

// replayed reads what was read before, then the connection.
type replayed struct {
	net.Conn
	reader io.Reader
}

func (r *replayed) Read(p []byte) (int, error) { return r.reader.Read(p) }

// silent writes nothing: the alert that would end the greeting.
type silent struct{ net.Conn }

func (silent) Write(p []byte) (int, error) { return len(p), nil }

// Accept, Close and Addr make the gate a listener for those who join.
func (g *gate) Accept() (net.Conn, error) { return <-g.joining, nil }
func (g *gate) Close() error              { return g.listener.Close() }
func (g *gate) Addr() net.Addr            { return g.listener.Addr() }
