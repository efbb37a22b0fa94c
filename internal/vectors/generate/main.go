// Command generate writes the corpus of package vectors into a folder.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/reachfive-community/reachfive/internal/vectors"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: generate FOLDER")
	}
	files, err := vectors.Files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(args[0], name), text, 0o644); err != nil { //nolint:gosec // public
			return err
		}
	}
	return nil
}
