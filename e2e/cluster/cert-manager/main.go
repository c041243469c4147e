// cert-manager's controller with the parts that the tests use. Its own main package is in a module that the proxy of modules
// does not have, and compiles ACME, Vault and the SDKs of clouds as well.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// What its own main package has for a default.
const (
	workers        = 5
	minimumBackoff = time.Hour
	maximumBackoff = 32 * time.Hour
)

func main() {
	var options controller.ContextOptions
	flag.StringVar(&options.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "the cluster")
	flag.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "kube-system", "where the Secrets of a ClusterIssuer are")
	flag.BoolVar(&options.EnableOwnerRef, "enable-certificate-owner-ref", false, "whether a Certificate owns its Secret")
	flag.Parse()
	options.CopiedAnnotationPrefixes = []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"}
	options.CertificateRequestMinimumBackoffDuration = minimumBackoff
	options.CertificateRequestMaximumBackoffDuration = maximumBackoff
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logf.InitLogs()
	defer logf.FlushLogs()
	if err := run(logf.NewContext(ctx, logf.Log, "controller"), options); err != nil {
		logf.Log.Error(err, "cannot run")
		logf.FlushLogs()
		os.Exit(1)
	}
}

// run runs every controller that is compiled in until the context ends, or one of them does.
func run(asked context.Context, options controller.ContextOptions) error {
	ctx, stop := context.WithCancelCause(asked)
	defer stop(nil)
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	base, err := factory.Build()
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for _, build := range controller.Known() {
		one, err := build(factory)
		if err != nil {
			return err
		}
		running.Go(func() { stop(one.Run(workers, ctx)) })
	}
	// All of them have said by now what they look at.
	base.SharedInformerFactory.Start(ctx.Done())
	base.KubeSharedInformerFactory.Start(ctx.Done())
	base.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	running.Wait()
	if asked.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}
