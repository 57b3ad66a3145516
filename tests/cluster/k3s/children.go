package k3s

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// patience is how long a program may take to end before it is killed.
const patience = 10 * time.Second

// children are the programs a server or an agent consists of. The first that ends ends them all, as they are one program in k3s;
// when we are killed the kernel kills them with us. Containers are none of them: they live on, as under k3s.
type children struct {
	start chan *exec.Cmd
	began chan error
	ended chan error
	all   []*exec.Cmd
	gone  sync.WaitGroup
}

func newChildren() *children {
	c := &children{start: make(chan *exec.Cmd), began: make(chan error), ended: make(chan error, 16)}
	go func() {
		// the kernel's "parent" is the thread that forked: one that never ends starts them all
		runtime.LockOSThread()
		for command := range c.start {
			c.began <- command.Start()
		}
	}()
	return c
}

// run starts a program of the bundle, its output on ours; name is for messages.
func (c *children) run(name string, env []string, program string, arguments ...string) error {
	command := exec.Command(program, arguments...)
	command.Args[0] = name
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.start <- command
	if err := <-c.began; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.all = append(c.all, command)
	c.gone.Add(1)
	go func() {
		err := command.Wait()
		c.gone.Done()
		c.ended <- fmt.Errorf("%s ended: %w", name, ended(err))
	}()
	return nil
}

func ended(err error) error {
	if err == nil {
		return fmt.Errorf("without an error")
	}
	return err
}

// wait returns when the context is done or a program has ended, whichever is first.
func (c *children) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-c.ended:
		return err
	}
}

// end ends them all, the youngest first, and returns when they are gone.
func (c *children) end() {
	for i := len(c.all) - 1; i >= 0; i-- {
		_ = c.all[i].Process.Signal(syscall.SIGTERM)
	}
	late := time.AfterFunc(patience, func() {
		for _, command := range c.all {
			_ = command.Process.Kill()
		}
	})
	defer late.Stop()
	c.gone.Wait()
}
