package k3s

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// unpack puts the programs that are appended to this executable as a zip (pack.py) into data/<hash>/bin, once, as k3s does with
// its own, and returns that folder. An executable without them has them beside it.
func unpack(data string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	archive, err := zip.OpenReader(self)
	if err != nil {
		return filepath.Dir(self), nil
	}
	defer archive.Close()
	sum := sha256.New()
	for _, file := range archive.File {
		fmt.Fprintln(sum, file.Name, file.CRC32, file.UncompressedSize64)
	}
	folder := filepath.Join(data, "data", hex.EncodeToString(sum.Sum(nil))[:16], "bin")
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	// Of its own: `k3s kubectl` may unpack while `k3s server` does.
	fresh, err := os.MkdirTemp(filepath.Dir(folder), "bin.part")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	if err := os.Chmod(fresh, 0o755); err != nil {
		return "", err
	}
	for _, file := range archive.File {
		if err := extract(file, filepath.Join(fresh, filepath.Base(file.Name))); err != nil {
			return "", fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	if err := os.Rename(fresh, folder); err != nil {
		if _, there := os.Stat(folder); there != nil {
			return "", err
		}
	}
	return folder, nil
}

func extract(file *zip.File, target string) error {
	from, err := file.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer to.Close()
	_, err = io.Copy(to, from)
	return err
}
