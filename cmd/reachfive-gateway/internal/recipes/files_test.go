package recipes_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// TestTheRecipesConfigurationIsTheOneOfTheTests: what the tests run in code is
// what the recipes tell the reader to configure.
func TestTheRecipesConfigurationIsTheOneOfTheTests(t *testing.T) {
	t.Parallel()
	cfg, problems := config.Parse([]byte(recipeFile(t, "gateway.yaml")))
	require.NoError(t, problems.Err())
	require.Len(t, cfg.Policies, 3)
	for name, policy := range cfg.Policies {
		var fields []header.Field
		for _, h := range policy.Headers {
			fields = append(fields, header.Field{Name: h.Name, Claim: h.Claim})
		}
		assert.Equal(t, gatewaytest.Fields(), fields, name)
	}
	assert.True(t, cfg.Policies["site"].Optional)
	assert.False(t, cfg.Policies["api"].Optional)
	assert.Equal(t, reachfivetest.StepUpMaxAge, cfg.Policies["payout"].Checks.MaxAge)
	assert.Equal(t, "api", cfg.DefaultPolicy)
}

// TestEveryRecipeListsEveryHeader: one that a recipe forgets could be made up
// by a client.
func TestEveryRecipeListsEveryHeader(t *testing.T) {
	t.Parallel()
	set, mistakes := header.NewSet(gatewaytest.Fields())
	require.Empty(t, mistakes)
	for _, path := range []string{"nginx/nginx.conf", "caddy/Caddyfile", "haproxy/reachfive.lua", "traefik/dynamic.yaml"} {
		text := strings.ToLower(recipeFile(t, path))
		for _, name := range set.Names() {
			assert.Contains(t, text, strings.ToLower(name), path)
		}
	}
}

// TestTraefiksListHasEverySpelling: a route that asks no gateway is protected by
// this list alone.
func TestTraefiksListHasEverySpelling(t *testing.T) {
	t.Parallel()
	set, mistakes := header.NewSet(gatewaytest.Fields())
	require.Empty(t, mistakes)
	text := recipeFile(t, "traefik/dynamic.yaml")
	for _, name := range set.Names() {
		_, rest, found := strings.Cut(name, "-Reachfive-")
		require.True(t, found, name)
		for _, first := range []string{"-", "_", "."} {
			for _, second := range []string{"-", "_", "."} {
				assert.Contains(t, text, "X"+first+"Reachfive"+second+rest+`: "",`)
			}
		}
	}
}

func TestTheConfigurationForKubernetesIsOne(t *testing.T) {
	t.Parallel()
	documents := yaml.NewDecoder(bytes.NewReader([]byte(recipeFile(t, "kubernetes/gateway.yaml"))))
	found := false
	for {
		var document struct {
			Kind string
			Data map[string]string
		}
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if document.Kind != "ConfigMap" {
			continue
		}
		found = true
		_, problems := config.Parse([]byte(document.Data["gateway.yaml"]))
		require.NoError(t, problems.Err())
	}
	assert.True(t, found)
}

// TestTheContainersProgramIsStatic: the build command of the Containerfile finds
// everything outside the workspace, and nothing that needs a C library.
func TestTheContainersProgramIsStatic(t *testing.T) {
	t.Parallel()
	text := recipeFile(t, "Containerfile")
	assert.Contains(t, text, "RUN CGO_ENABLED=0 GOWORK=off go build -C cmd/reachfive-gateway ")
	assert.Contains(t, text, "FROM scratch\n")
	assert.Contains(t, text, "USER 65532:65532\nENTRYPOINT [\"/reachfive-gateway\"]\n")
	list := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}", ".")
	list.Dir = "../.."
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	output, err := list.CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Empty(t, strings.TrimSpace(string(output)))
}
