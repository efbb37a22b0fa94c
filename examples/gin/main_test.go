package main

import (
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/reachfive-community/reachfive/examples/internal/suite"
)

func TestGinPassesTheTransportSuite(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	suite.Run(t, newEngine)
}
