package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// TestTheGatewaysManifestsAreKubernetesObjects decodes deploy/kubernetes
// strictly: an unknown field or a value of the wrong type is an error.
func TestTheGatewaysManifestsAreKubernetesObjects(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../deploy/kubernetes/gateway.yaml")
	require.NoError(t, err)
	kinds := map[string]any{}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var meta struct{ Kind string }
		require.NoError(t, yaml.Unmarshal([]byte(document), &meta))
		object := map[string]any{
			"Namespace": &corev1.Namespace{}, "ConfigMap": &corev1.ConfigMap{}, "Secret": &corev1.Secret{}, "Service": &corev1.Service{},
			"Deployment": &appsv1.Deployment{}, "PodDisruptionBudget": &policyv1.PodDisruptionBudget{}, "NetworkPolicy": &networkingv1.NetworkPolicy{},
		}[meta.Kind]
		require.NotNil(t, object, meta.Kind)
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), object), meta.Kind)
		kinds[meta.Kind] = object
	}
	require.Len(t, kinds, 7)

	deployment := kinds["Deployment"].(*appsv1.Deployment)
	pod := deployment.Spec.Template
	labels := pod.Labels
	for name, selector := range map[string]map[string]string{
		"Deployment":          deployment.Spec.Selector.MatchLabels,
		"Service":             kinds["Service"].(*corev1.Service).Spec.Selector,
		"PodDisruptionBudget": kinds["PodDisruptionBudget"].(*policyv1.PodDisruptionBudget).Spec.Selector.MatchLabels,
		"NetworkPolicy":       kinds["NetworkPolicy"].(*networkingv1.NetworkPolicy).Spec.PodSelector.MatchLabels,
	} {
		assert.Equal(t, labels, selector, name)
	}
	assert.Greater(t, *pod.Spec.TerminationGracePeriodSeconds, int64(25), "drain.delay and drain.timeout")

	container := pod.Spec.Containers[0]
	ports := map[string]bool{}
	for _, port := range container.Ports {
		ports[port.Name] = true
	}
	for _, port := range kinds["Service"].(*corev1.Service).Spec.Ports {
		assert.True(t, ports[port.TargetPort.String()], port.Name)
	}
	for _, probe := range []*corev1.Probe{container.ReadinessProbe, container.LivenessProbe} {
		assert.True(t, ports[probe.HTTPGet.Port.String()])
	}
	assert.Equal(t, "/readyz", container.ReadinessProbe.HTTPGet.Path)
	assert.Equal(t, "/livez", container.LivenessProbe.HTTPGet.Path)
	assert.True(t, *pod.Spec.SecurityContext.RunAsNonRoot)
	assert.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret != nil {
			assert.Zero(t, *volume.Secret.DefaultMode&0o007, "the gateway refuses a secret that others can read")
		}
	}
}
