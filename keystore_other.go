//go:build !unix

package reachfive

import "os"

const ownFiles = false

func openOwn(string) (*os.File, error) { return nil, errNoOwnFiles }

func syncDirectory(string) error { return errNoOwnFiles }
