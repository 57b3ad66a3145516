// Command kine is the datastore: it speaks enough of etcd's protocol for an API server and keeps everything in one SQLite file,
// as k3s does. Upstream's own command links five other databases; this one has what is needed here and no C compiler behind it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// The API server asks the storage for its version and picks features by it: the value upstream's command sends.
	etcdVersion = "3.6.11"

	// A request may be this large: etcd's own limit of 1.5 MiB and gRPC's overhead. Answers (lists) are not limited.
	mostReceived = 2 << 20
	mostSent     = 1<<31 - 1
)

func main() {
	log.SetFlags(0)
	socket := flag.String("socket", "", "the Unix socket to listen on")
	database := flag.String("database", "", "the SQLite file to keep everything in")
	synchronous := flag.String("synchronous", "NORMAL", "SQLite's synchronous: NORMAL or FULL survive a power cut, OFF does not")
	config := &drivers.Config{
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 20, MaxIdleTime: 2 * time.Minute},
		CompactTimeout:       5 * time.Second,
		CompactBatchSize:     1000,
		PollBatchSize:        500,
	}
	flag.DurationVar(&config.CompactInterval, "compact-interval", 5*time.Minute, "how often old revisions are forgotten")
	flag.Int64Var(&config.CompactMinRetain, "compact-min-retain", 1000, "so many of the newest revisions are kept")
	flag.Parse()
	if *socket == "" || *database == "" {
		log.Fatal("kine: both --socket and --database are needed")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serve(ctx, *socket, *database, *synchronous, config); err != nil {
		log.Fatalf("kine: %v", err)
	}
}

// serve answers on the socket until ctx is done, then closes the database.
func serve(ctx context.Context, socket, database, synchronous string, config *drivers.Config) error {
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		return err
	}
	var running sync.WaitGroup
	store, cancel := context.WithCancel(context.Background())
	defer running.Wait()
	defer cancel()
	config.DataSourceName = fmt.Sprintf("%s?_journal_mode=WAL&_busy_timeout=30000&_synchronous=%s&_txlock=immediate", database, synchronous)
	_, backend, err := sqlite.New(store, &running, config)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", database, err)
	}
	if err := backend.Start(store); err != nil {
		return fmt.Errorf("cannot start on %s: %w", database, err)
	}
	rpc := grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Hour, Timeout: 20 * time.Second}),
		grpc.MaxRecvMsgSize(mostReceived),
		grpc.MaxSendMsgSize(mostSent),
	)
	server.New(backend, "unix", 5*time.Second, etcdVersion).Register(rpc)
	_ = os.Remove(socket) // of a run that was killed
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return err
	}
	context.AfterFunc(ctx, rpc.Stop)
	return rpc.Serve(listener)
}
