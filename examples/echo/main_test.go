package main

import (
	"testing"

	"github.com/reachfive-community/reachfive/examples/internal/suite"
)

func TestEchoPassesTheTransportSuite(t *testing.T) { suite.Run(t, newEcho) }
